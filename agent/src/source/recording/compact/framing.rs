//! Length-delimited records in a stream, in bounded memory.

use std::io;
use std::mem;

use crate::source::input::Stream;

use super::MAX_RECORD_LEN;

/// Takes records out of a stream: a lending iterator, as most lie in the stream's buffer.
pub(super) struct Records {
    stream: Stream,
    /// Bytes at the start of the stream's buffer that the last record took.
    lent: usize,
    /// A record that does not lie in the stream's buffer as a whole.
    spill: Vec<u8>,
    bytes: u64,
    records: u64,
}

/// A fault of the framing, as an error of the stream: nothing behind it can be read.
fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within a record")
}

impl Records {
    pub(super) const fn new(stream: Stream) -> Self {
        Self { stream, lent: 0, spill: Vec::new(), bytes: 0, records: 0 }
    }

    /// Records so far; the 1-based number of the last one.
    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// Decompressed bytes of them, with their lengths and the magic.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Moves over this many bytes, which are known to be there.
    ///
    /// # Errors
    ///
    /// What the stream reports.
    pub(super) fn skip(&mut self, len: usize) -> io::Result<()> {
        for _ in 0..len {
            self.byte()?;
        }
        Ok(())
    }

    /// The bytes of the next record, or `None` at the end.
    ///
    /// # Errors
    ///
    /// What the stream reports, or where it ends within a record, or when a length cannot be.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.stream.consume(mem::take(&mut self.lent));
        let Some(len) = self.length()? else { return Ok(None) };
        self.stream.fill()?;
        if self.stream.buffered().len() >= len {
            self.lent = len;
            self.bytes += len as u64;
            self.records += 1;
            return Ok(Some(&self.stream.buffered()[..len]));
        }
        self.spill.clear();
        while self.spill.len() < len {
            let buffer = self.stream.fill()?;
            if buffer.is_empty() {
                return Err(cut());
            }
            let part = buffer.len().min(len - self.spill.len());
            self.spill.extend_from_slice(&buffer[..part]);
            self.stream.consume(part);
            self.bytes += part as u64;
        }
        self.records += 1;
        Ok(Some(&self.spill))
    }

    /// The length ahead of a record: a base 128 varint.
    fn length(&mut self) -> io::Result<Option<usize>> {
        let mut len = 0;
        // Three groups of seven bits hold the longest length.
        for shift in [0, 7, 14] {
            let Some(byte) = self.byte()? else {
                return if shift == 0 { Ok(None) } else { Err(cut()) };
            };
            len |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if len > MAX_RECORD_LEN {
                    break;
                }
                return Ok(Some(len));
            }
        }
        Err(broken(format!("a record seems to be longer than {MAX_RECORD_LEN} bytes")))
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.stream.fill()?.first().copied();
        self.stream.consume(usize::from(byte.is_some()));
        self.bytes += u64::from(byte.is_some());
        Ok(byte)
    }

    /// Whether all of the stream was read, the last record included.
    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        self.stream.consume(mem::take(&mut self.lent));
        Ok(self.stream.fill()?.is_empty())
    }
}
