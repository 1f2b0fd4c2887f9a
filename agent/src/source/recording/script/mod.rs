//! The script's format: what upcall_cost.py writes with `--write-events`.
//!
//! Each line is a Python assignment: first `dp_port_map = {...}` (datapath → port name → number),
//! then an `event = {...}` for every event, and at last `event_miss = {...}` if events were lost.
//! They are read line by line in memory that depends neither on the file nor on its lines.

mod ending;
mod escape;
mod event_line;
mod lines;
mod literal;
mod port_map;
mod port_map_line;
mod repr;
#[cfg(test)]
mod tests;
mod writer;

use std::io;

use super::found::Found;
use super::item::{DatapathPorts, RecordedEvent};
use super::{LineFault, LossCounts};
use crate::source::input::Stream;

pub use lines::MAX_LINE;
pub use literal::{SyntaxError, SyntaxFault};
pub use writer::ScriptWriter;

pub(super) use ending::{Begins, skim};

use event_line::EventLine;
use lines::{LineEnd, Lines, Statement};
use literal::Cursor;

/// Reads lines, and keeps what the last one said.
pub(super) struct Reader {
    lines: Lines,
    event: EventLine,
    ports: Vec<DatapathPorts>,
    losses: LossCounts,
}

impl Reader {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            lines: Lines::new(stream),
            event: EventLine::default(),
            ports: Vec::new(),
            losses: LossCounts::default(),
        }
    }

    /// What the next line says.
    ///
    /// # Errors
    ///
    /// What the stream reports, after the lines before it.
    pub(super) fn next(&mut self) -> io::Result<Found> {
        let Some(line) = self.lines.next()? else { return Ok(Found::Nothing) };
        let end = line.end;
        let statement = line.statement();
        let read = match statement {
            _ if end == LineEnd::TooLong => Err(LineFault::TooLong),
            Some((Statement::Event, at)) => {
                self.event.read(Cursor::new(line.bytes, at)).map(|()| Found::Event)
            }
            Some((Statement::PortMap, at)) => port_map::read_port_map(Cursor::new(line.bytes, at))
                .map(|ports| {
                    self.ports = ports;
                    Found::Ports
                }),
            Some((Statement::Losses, at)) => port_map::read_losses(Cursor::new(line.bytes, at))
                .map(|losses| {
                    self.losses = losses;
                    Found::Losses
                }),
            None if end == LineEnd::Input && line.may_become_statement() => Err(LineFault::Cut),
            None => Ok(Found::Unrelated),
        };
        Ok(read.unwrap_or_else(|fault| Found::Malformed {
            // A line without its end is most probably malformed because of that.
            fault: if end == LineEnd::Input { LineFault::Cut } else { fault },
            is_event: matches!(statement, Some((Statement::Event, _))),
        }))
    }

    /// The event that was found.
    pub(super) fn event(&self) -> RecordedEvent<'_> {
        self.event.event()
    }

    /// The ports that were found.
    pub(super) fn ports(&self) -> &[DatapathPorts] {
        &self.ports
    }

    /// The losses that were found.
    pub(super) const fn losses(&self) -> LossCounts {
        self.losses
    }

    /// Number of lines so far; the 1-based number of the last one.
    pub(super) const fn lines(&self) -> u64 {
        self.lines.lines()
    }

    /// Decompressed bytes of the lines so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    pub(super) const fn stream(&self) -> &Stream {
        self.lines.stream()
    }
}
