//! Netlink messages: how they follow each other in a datagram, and what ends an answer.
//!
//! Mirrors the kernel's include/uapi/linux/netlink.h and genetlink.h.

use std::io;

use netlink_packet_core::{
    Emitable, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NLMSG_ALIGNTO,
    NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader, NlasIterator,
};

/// Length of `struct genlmsghdr`: command, version, two reserved bytes.
const GENERIC_HEADER: usize = 4;

/// Length of `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;

/// Id of a generic netlink family: the type of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FamilyId(pub(super) u16);

/// The address of a netlink socket; the kernel's own is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portid(pub(super) u32);

/// Ties answers to their request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence(pub(super) u32);

/// A message of the kernel.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// Whose request led to it: this socket's, if it is an answer. Announcements carry the
    /// requester's, or 0.
    pub(super) requester: Portid,
    pub(super) sequence: Sequence,
    /// More messages belong to the answer, up to a [`Content::End`].
    pub(super) is_part: bool,
    /// What is dumped changed meanwhile: the dump may lack something.
    pub(super) is_interrupted: bool,
    pub(super) content: Content<'a>,
}

/// What a message is.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// The end of an answer, with what went wrong.
    End(Result<(), io::Error>),
    /// Of a generic netlink family.
    Generic(Generic<'a>),
    /// Of no use here.
    Other,
}

/// A message of a generic netlink family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generic<'a> {
    pub(super) family: FamilyId,
    pub(super) command: u8,
    /// The family's own header, if it has one, and attributes.
    pub(super) body: &'a [u8],
}

/// The messages of a datagram, as far as they are whole.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let buffer = NetlinkBuffer::new_checked(datagram).ok()?;
        let padded = (buffer.length() as usize).next_multiple_of(usize::from(NLMSG_ALIGNTO));
        datagram = datagram.get(padded..).unwrap_or_default();
        Some(Message {
            requester: Portid(buffer.port_number()),
            sequence: Sequence(buffer.sequence_number()),
            is_part: buffer.flags() & NLM_F_MULTIPART != 0,
            is_interrupted: buffer.flags() & NLM_F_DUMP_INTR != 0,
            content: content(buffer.message_type(), buffer.payload()),
        })
    })
}

fn content(message_type: u16, payload: &[u8]) -> Content<'_> {
    match message_type {
        // Both begin with a negative errno, or 0. `NLMSG_DONE` may lack it.
        NLMSG_DONE | NLMSG_ERROR => Content::End(match payload.first_chunk() {
            Some(&code) if code != [0; 4] => {
                Err(io::Error::from_raw_os_error(i32::from_ne_bytes(code).wrapping_neg()))
            }
            _ => Ok(()),
        }),
        NLMSG_NOOP | NLMSG_OVERRUN => Content::Other,
        family => match payload.split_first_chunk::<GENERIC_HEADER>() {
            Some((&[command, ..], body)) => {
                Content::Generic(Generic { family: FamilyId(family), command, body })
            }
            None => Content::Other,
        },
    }
}

/// Attributes: their types, without netlink's flags, and payloads, as far as they are whole.
pub(super) fn attributes(body: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(body).map_while(|attribute| {
        let attribute = attribute.ok()?;
        let value = ATTRIBUTE_HEADER..usize::from(attribute.length());
        Some((attribute.kind(), attribute.into_inner().get(value)?))
    })
}

/// The value of an attribute that is an `N`-byte number in host byte order.
pub(super) fn number<const N: usize>(payload: &[u8]) -> Option<[u8; N]> {
    payload.first_chunk().copied()
}

/// The value of an attribute that is a string: what stands before the first NUL, if anything.
pub(super) fn text(payload: &[u8]) -> Option<&[u8]> {
    payload.split(|byte| *byte == 0).next().filter(|text| !text.is_empty())
}

/// A request to a generic netlink family.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) family: FamilyId,
    pub(super) command: u8,
    pub(super) version: u8,
    /// Whether all objects are asked for, or one.
    pub(super) is_dump: bool,
    /// The family's own header, if it has one, and attributes.
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The bytes to send.
    pub(super) fn encode(&self, sequence: Sequence) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        let len = header.buffer_len();
        header.length = (len + GENERIC_HEADER + self.body.len()) as u32;
        header.message_type = self.family.0;
        header.flags = NLM_F_REQUEST | if self.is_dump { NLM_F_DUMP } else { 0 };
        header.sequence_number = sequence.0;
        let mut bytes = vec![0; len];
        header.emit(&mut bytes);
        bytes.extend([self.command, self.version, 0, 0]);
        bytes.extend(&self.body);
        bytes
    }
}
