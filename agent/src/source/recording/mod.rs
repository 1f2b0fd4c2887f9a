//! Recordings: the files that upcall_cost.py writes with `--write-events`.
//!
//! Each line is a Python assignment: first `dp_port_map = {...}` (datapath → port name → number),
//! then an `event = {...}` for every event, and at last `event_miss = {...}` if events were lost.
//! They are read line by line in memory that depends neither on the file nor on its lines.

mod counts;
mod ending;
mod error;
mod escape;
mod event_line;
mod handlers;
mod lines;
mod literal;
mod port_map;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::num::NonZeroU64;

use crate::event::{EventKind, MonotonicNs, Ordinal};
use crate::ports::Ports;
use crate::source::Record;
use crate::source::input::{self, Compression, Input, Opened, Progress, Stream};

pub use counts::{Counts, KindCounts, LossCounts};
pub use error::{Damage, LineFault, MalformedLine, RecordingError};
pub use handlers::HandlerFilter;
pub use lines::MAX_LINE;
pub use literal::{SyntaxError, SyntaxFault};

use ending::Ending;
use event_line::EventLine;
use lines::{LineEnd, Lines, Statement};
use literal::Cursor;

/// How to read a [`Recording`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Take a malformed line, or compressed data that are cut or damaged, for an error. Otherwise
    /// they are counted, and the rest is used.
    pub strict: bool,
    /// End after that many events, not counting those that are filtered out or malformed.
    pub stop_after: Option<NonZeroU64>,
    /// Leave out what other threads did. `dp_upcall`s happen in any thread and stay.
    pub handlers: Option<HandlerFilter>,
}

/// Reads a recording: a lending iterator over its [`Record`]s, which borrow their bytes from it.
///
/// ```
/// use upspan::source::Record;
/// use upspan::source::recording::{Options, Recording};
///
/// let text = "dp_port_map = {'ovs-system': {'p1': 2}}\nevent_miss = {1: 23}\n";
/// let mut recording = Recording::from_reader(text.as_bytes(), Options::default())?;
/// while let Some(record) = recording.next()? {
///     if let Record::Lost { kind, count } = record {
///         assert_eq!((kind.name(), count), ("dp_upcall", 23));
///     }
/// }
/// assert_eq!(recording.counts().sum().miss, 23);
/// # Ok::<(), upspan::source::recording::RecordingError>(())
/// ```
pub struct Recording {
    lines: Lines,
    /// What messages call it.
    name: String,
    options: Options,
    event: EventLine,
    ports: Ports,
    has_port_map: bool,
    counts: Counts,
    malformed: Vec<MalformedLine>,
    damage: Option<Damage>,
    ending: Option<Ending>,
    /// Losses read, of which no [`Record::Lost`] is made yet.
    pending: LossCounts,
    /// Events that count for [`Options::stop_after`].
    received: u64,
    finished: bool,
}

/// What a line is for the caller.
enum Step {
    /// The event that `Recording::event` now holds.
    Event,
    /// An event, by its start, that is malformed.
    Unreadable,
    /// Nothing that comes as a record of its own, or losses to be looked for.
    Other,
    End,
}

impl Recording {
    /// How many malformed lines are kept for [`Recording::malformed`].
    pub const MAX_KEPT_MALFORMED: usize = 10;

    /// Opens a recording: plain, gzip or Zstandard, which its first bytes tell.
    ///
    /// # Errors
    ///
    /// If the input cannot be opened or its first bytes cannot be read.
    pub fn open(input: &Input, options: Options) -> Result<Self, RecordingError> {
        let name = input.to_string();
        let (raw, total, ending): (Box<dyn Read + Send>, _, _) = match input::open(input)? {
            Opened::Pipe(pipe) => (pipe, None, None),
            Opened::File { mut file, len } => {
                // What is wrong with the file comes up again, and is reported, when it is read.
                let ending = Ending::of(&mut file, len).ok();
                (Box::new(file), Some(len), ending)
            }
        };
        Self::new(name, raw, total, ending, options)
    }

    /// Reads a recording from bytes in memory, a pipe or a socket.
    ///
    /// # Errors
    ///
    /// If the first bytes cannot be read.
    pub fn from_reader(
        reader: impl Read + Send + 'static,
        options: Options,
    ) -> Result<Self, RecordingError> {
        Self::new("the recording".to_owned(), reader, None, None, options)
    }

    fn new(
        name: String,
        raw: impl Read + Send + 'static,
        total: Option<u64>,
        ending: Option<Ending>,
        options: Options,
    ) -> Result<Self, RecordingError> {
        let stream = match Stream::new(raw, total) {
            Ok(stream) => stream,
            Err(error) => return Err(RecordingError::Read { name, error }),
        };
        Ok(Self {
            lines: Lines::new(stream),
            name,
            options,
            event: EventLine::default(),
            ports: Ports::default(),
            has_port_map: false,
            counts: Counts::default(),
            malformed: Vec::new(),
            damage: None,
            ending,
            pending: LossCounts::default(),
            received: 0,
            finished: false,
        })
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    ///
    /// If the system cannot read on; in strict mode, too, if the recording is at fault. After an
    /// error there are no more records.
    #[expect(
        clippy::should_implement_trait,
        reason = "records borrow from the recording, which `Iterator` cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, RecordingError> {
        Ok(self.next_with_ports()?.map(|(record, _)| record))
    }

    /// As [`Recording::next`], with the ports as they are known by then.
    ///
    /// # Errors
    ///
    /// As [`Recording::next`].
    pub fn next_with_ports(&mut self) -> Result<Option<(Record<'_>, &Ports)>, RecordingError> {
        loop {
            if let Some((kind, count)) = self.take_loss() {
                self.counts.kinds[kind].miss = self.counts.kinds[kind].miss.saturating_add(count);
                return Ok(Some((Record::Lost { kind, count }, &self.ports)));
            }
            match self.step()? {
                Step::Event => break,
                Step::Unreadable => return Ok(Some((Record::Unreadable, &self.ports))),
                Step::Other => {}
                Step::End => return Ok(None),
            }
        }
        self.received += 1;
        let record = self.event.record(&mut self.ports);
        let counts = &mut self.counts.kinds[self.event.kind()];
        counts.total += 1;
        counts.valid += u64::from(matches!(record, Record::Event(_)));
        Ok(Some((record, &self.ports)))
    }

    fn take_loss(&mut self) -> Option<(EventKind, u64)> {
        let (kind, &count) = self.pending.iter().find(|&(_, &count)| count > 0)?;
        self.pending[kind] = 0;
        Some((kind, count))
    }

    /// Reads a line.
    fn step(&mut self) -> Result<Step, RecordingError> {
        let stop = self.options.stop_after.is_some_and(|stop| self.received >= stop.get());
        if self.finished || stop {
            return Ok(Step::End);
        }
        let step = self.read_line();
        self.finished = matches!(step, Ok(Step::End) | Err(_));
        self.counts.lines = self.lines.lines();
        self.counts.bytes = self.lines.bytes();
        step
    }

    fn read_line(&mut self) -> Result<Step, RecordingError> {
        let line = match self.lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(Step::End),
            Err(error) => return self.end_early(error),
        };
        let end = line.end;
        let statement = line.statement();
        let read = match statement {
            _ if end == LineEnd::TooLong => Err(LineFault::TooLong),
            Some((Statement::Event, at)) => {
                let ordinal = Ordinal(self.counts.event_lines);
                self.event.read(ordinal, Cursor::new(line.bytes, at)).map(|()| Step::Event)
            }
            Some((Statement::PortMap, at)) => {
                port_map::read_port_map(Cursor::new(line.bytes, at), &mut self.ports).map(|()| {
                    self.has_port_map = true;
                    Step::Other
                })
            }
            Some((Statement::Losses, at)) => port_map::read_losses(Cursor::new(line.bytes, at))
                .map(|losses| {
                    self.pending = losses;
                    Step::Other
                }),
            None if end == LineEnd::Input && line.may_become_statement() => Err(LineFault::Cut),
            None => {
                self.counts.unrelated += 1;
                Ok(Step::Other)
            }
        };
        let is_event = matches!(statement, Some((Statement::Event, _)));
        self.counts.event_lines += u64::from(is_event);
        match read {
            Ok(Step::Event) if !self.is_wanted() => {
                self.counts.kinds[self.event.kind()].filtered += 1;
                Ok(Step::Other)
            }
            Ok(step) => Ok(step),
            Err(fault) => {
                self.counts.malformed_events += u64::from(is_event);
                // A line without its end is most probably malformed because of that.
                self.report(if end == LineEnd::Input { LineFault::Cut } else { fault })?;
                Ok(if is_event { Step::Unreadable } else { Step::Other })
            }
        }
    }

    /// Whether the handler filter lets the event through.
    fn is_wanted(&self) -> bool {
        self.event.kind() == EventKind::DpUpcall
            || self
                .options
                .handlers
                .as_ref()
                .is_none_or(|handlers| handlers.contains(self.event.head().comm))
    }

    fn report(&mut self, fault: LineFault) -> Result<(), RecordingError> {
        let malformed = MalformedLine { line: self.lines.lines(), fault };
        self.counts.malformed += 1;
        if self.malformed.len() < Self::MAX_KEPT_MALFORMED {
            self.malformed.push(malformed);
        }
        if self.options.strict {
            return Err(RecordingError::Malformed { name: self.name.clone(), malformed });
        }
        Ok(())
    }

    /// The stream breaks: the system's fault, or that of compressed data.
    fn end_early(&mut self, error: io::Error) -> Result<Step, RecordingError> {
        let name = self.name.clone();
        let is_compressed = self.lines.compression() != Compression::None;
        if !is_compressed || error.raw_os_error().is_some() {
            return Err(RecordingError::Read { name, error });
        }
        let damage = Damage { line: self.lines.lines(), error };
        if self.options.strict {
            return Err(RecordingError::Damaged { name, damage });
        }
        self.damage = Some(damage);
        Ok(Step::End)
    }

    /// Datapaths and ports known so far.
    #[must_use]
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Whether a port map was read. Without, no `dp_upcall` can be used.
    #[must_use]
    pub const fn has_port_map(&self) -> bool {
        self.has_port_map
    }

    /// What was read so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The first malformed lines so far, [`Recording::MAX_KEPT_MALFORMED`] at most; [`Counts`] has
    /// their number.
    #[must_use]
    pub fn malformed(&self) -> &[MalformedLine] {
        &self.malformed
    }

    /// Why the recording ended early: its compressed data are cut or damaged.
    #[must_use]
    pub const fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// How far the input is read, for a progress bar.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.lines.progress()
    }

    /// The losses that the recording declares at its end, known before it is read: only of a
    /// regular file that is whole. `None` where they cannot be known.
    #[must_use]
    pub fn declared_losses(&self) -> Option<&LossCounts> {
        self.ending.as_ref().map(|ending| &ending.losses)
    }

    /// The time of the last event, known before it is read: only of a regular file that is whole.
    #[must_use]
    pub fn last_timestamp(&self) -> Option<MonotonicNs> {
        self.ending.as_ref()?.last
    }
}
