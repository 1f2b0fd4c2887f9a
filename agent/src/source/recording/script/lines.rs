//! Lines of a stream, in bounded memory.

use std::io;
use std::mem;

use memchr::memchr;

use crate::source::input::Stream;

/// Most bytes of a line, without its end. Events of the largest capture (2,048 bytes of packet and
/// of key, four characters a byte) need 17 KiB; a port map of 30,000 ports fits.
pub const MAX_LINE: usize = 1024 * 1024;

/// A line without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The line's bytes; of one that is too long, the first [`MAX_LINE`].
    pub(super) bytes: &'a [u8],
    pub(super) end: LineEnd,
}

impl Line<'_> {
    /// What the line assigns, and the position of the value; `None` if it is no line of a
    /// recording.
    pub(super) fn statement(&self) -> Option<(Statement, usize)> {
        let statement = Statement::ALL
            .into_iter()
            .find(|statement| self.bytes.starts_with(statement.start()))?;
        Some((statement, statement.start().len()))
    }

    /// Whether more bytes could make the line a statement.
    pub(super) fn may_become_statement(&self) -> bool {
        Statement::ALL.iter().any(|statement| statement.start().starts_with(self.bytes))
    }
}

/// The lines of a recording, by the variables that they assign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Event,
    PortMap,
    Losses,
}

impl Statement {
    const ALL: [Self; 3] = [Self::Event, Self::PortMap, Self::Losses];

    const fn start(self) -> &'static [u8] {
        match self {
            Self::Event => b"event = ",
            Self::PortMap => b"dp_port_map = ",
            Self::Losses => b"event_miss = ",
        }
    }
}

/// What follows the bytes of a [`Line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// A newline.
    Newline,
    /// Nothing: the input ends or breaks here.
    Input,
    /// More of the same line, which was skipped.
    TooLong,
}

/// Reads lines: a lending iterator, as each line lies in the stream's buffer.
pub(super) struct Lines {
    stream: Stream,
    /// Bytes at the start of the stream's buffer that the last line took.
    lent: usize,
    /// A line that does not lie in the stream's buffer as a whole.
    spill: Vec<u8>,
    /// What ended the stream, to be reported after the bytes before it.
    failure: Option<io::Error>,
    bytes: u64,
    lines: u64,
}

impl Lines {
    pub(super) const fn new(stream: Stream) -> Self {
        Self { stream, lent: 0, spill: Vec::new(), failure: None, bytes: 0, lines: 0 }
    }

    /// Decompressed bytes of the lines so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of lines so far; the 1-based number of the last one.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    ///
    /// What the stream reports, after the bytes that it gave before.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.stream.consume(mem::take(&mut self.lent));
        self.spill.clear();
        let mut len = 0;
        let end = loop {
            let buffer = match self.stream.fill() {
                Ok(buffer) => buffer,
                Err(error) if len == 0 => return Err(error),
                Err(error) => {
                    self.failure = Some(error);
                    break LineEnd::Input;
                }
            };
            if buffer.is_empty() {
                break LineEnd::Input;
            }
            let newline = memchr(b'\n', buffer);
            if let Some(at) = newline
                && len == 0
                && at <= MAX_LINE
            {
                self.lent = at + 1;
                self.bytes += self.lent as u64;
                self.lines += 1;
                let bytes = &self.stream.buffered()[..at];
                return Ok(Some(Line { bytes, end: LineEnd::Newline }));
            }
            let part = newline.unwrap_or(buffer.len());
            let kept = part.min(MAX_LINE - self.spill.len());
            self.spill.extend_from_slice(&buffer[..kept]);
            let taken = part + usize::from(newline.is_some());
            self.stream.consume(taken);
            self.bytes += taken as u64;
            len += part;
            if newline.is_some() {
                break LineEnd::Newline;
            }
        };
        if len == 0 && end == LineEnd::Input {
            return Ok(None);
        }
        self.lines += 1;
        let end = if len > MAX_LINE { LineEnd::TooLong } else { end };
        Ok(Some(Line { bytes: &self.spill, end }))
    }
}
