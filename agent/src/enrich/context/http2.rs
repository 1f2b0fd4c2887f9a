//! HTTP/2 (RFC 9113): the frames at the start of a TCP payload.
//!
//! A payload that does not begin with a frame cannot be told from one that does by a mark, but by
//! nine bytes that must fit together. What then looks like a request has to hold a header of the
//! right name and form to count.

use std::borrow::Cow;

use super::PacketContext;
use super::hpack;

/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
/// Initial value of SETTINGS_MAX_FRAME_SIZE.
const MAX_FRAME: usize = 1 << 14;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// RFC 9218.
const PRIORITY_UPDATE: u8 = 16;

const ACK: u8 = 0x01;
const END_STREAM: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const HAS_PRIORITY: u8 = 0x20;

/// Stream dependency and weight.
const PRIORITY_LEN: usize = 5;

/// The context of the first request in the payload that has one. Requests of several streams may
/// share a packet, and all of them waited for it.
pub(super) fn context(payload: &[u8]) -> Option<PacketContext> {
    let mut frames = Frames(payload.strip_prefix(PREFACE).unwrap_or(payload));
    let mut decoder = hpack::Decoder::default();
    while let Some(frame) = frames.next() {
        match frame.kind {
            HEADERS => {
                let block = frames.header_block(&frame)?;
                let (carrier, ended) = decoder.request(&block);
                if let Some(context) = carrier.context() {
                    return Some(context);
                }
                // What comes after a block that was not understood cannot be, either.
                ended.then_some(())?;
            }
            // The end of a block whose start is elsewhere.
            CONTINUATION => return None,
            _ => {}
        }
    }
    None
}

/// A frame, as far as it was captured.
#[derive(Clone, Copy, Debug)]
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    /// Length in bytes of its payload.
    len: usize,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<FRAME_HEADER>()?;
        let len = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
        let rest = &bytes[FRAME_HEADER..];
        let payload = &rest[..rest.len().min(len)];
        Some(Self { kind, flags, stream: u32::from_be_bytes([s0, s1, s2, s3]), len, payload })
    }

    /// Whether a client sends frames like this. The reserved bit of the stream, which is to be
    /// ignored, is never set in practice.
    const fn is_plausible(&self) -> bool {
        let by_client = self.stream % 2 == 1 && self.stream >> 31 == 0;
        let (on_stream, length_fits, flags) = match self.kind {
            DATA => (by_client, true, END_STREAM | PADDED),
            HEADERS => (by_client, true, END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY),
            PRIORITY => (by_client, self.len == PRIORITY_LEN, 0),
            RST_STREAM => (by_client, self.len == 4, 0),
            SETTINGS => (self.stream == 0, self.len.is_multiple_of(6), ACK),
            PING => (self.stream == 0, self.len == 8, ACK),
            GOAWAY => (self.stream == 0, self.len >= 8, 0),
            WINDOW_UPDATE => (by_client || self.stream == 0, self.len == 4, 0),
            CONTINUATION => (by_client, true, END_HEADERS),
            PRIORITY_UPDATE => (self.stream == 0, self.len >= 4, 0),
            _ => return false,
        };
        on_stream && length_fits && self.flags & !flags == 0 && self.len <= MAX_FRAME
    }

    const fn ends_headers(&self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// The part of the header block in a HEADERS frame: without padding and priority.
    fn fragment(&self) -> Option<&'a [u8]> {
        let mut fragment = self.payload;
        let mut end = self.len;
        if self.flags & PADDED != 0 {
            let (padding, rest) = fragment.split_first()?;
            fragment = rest;
            end = end.checked_sub(1 + usize::from(*padding))?;
        }
        if self.flags & HAS_PRIORITY != 0 {
            fragment = fragment.get(PRIORITY_LEN..)?;
            end = end.checked_sub(PRIORITY_LEN)?;
        }
        Some(&fragment[..fragment.len().min(end)])
    }
}

/// The frames from here on, until something is no frame.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = Frame::read(self.0).filter(Frame::is_plausible)?;
        self.0 = &self.0[FRAME_HEADER + frame.payload.len()..];
        Some(frame)
    }
}

impl<'a> Frames<'a> {
    /// The header block that begins with this HEADERS frame, and goes on in CONTINUATION frames of
    /// its stream, as far as it was captured.
    fn header_block(&mut self, headers: &Frame<'a>) -> Option<Cow<'a, [u8]>> {
        let mut block = Cow::Borrowed(headers.fragment()?);
        let mut is_open = !headers.ends_headers();
        while is_open {
            let Some(next) = self.next() else { break };
            if next.kind != CONTINUATION || next.stream != headers.stream {
                return None;
            }
            block.to_mut().extend_from_slice(next.payload);
            is_open = !next.ends_headers();
        }
        Some(block)
    }
}
