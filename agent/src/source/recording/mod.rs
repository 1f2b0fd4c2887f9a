//! Recordings: files and pipes of events.
//!
//! They come in two [formats](Format), which their first bytes tell: the script's, which
//! upcall_cost.py writes with `--write-events`, and the compact one, `upspan.recording.v1`.

mod compact;
mod counts;
mod ending;
mod error;
mod format;
mod found;
mod handlers;
mod item;
mod port_changes;
mod script;
#[cfg(test)]
mod tests;
mod write;

use std::io::{self, Read};
use std::num::NonZeroU64;

use crate::event::{EventKind, MonotonicNs, Ordinal};
use crate::ports::Ports;
use crate::source::Record;
use crate::source::input::{self, Compression, Input, Opened, Progress, Stream};

pub use compact::{CompactWriter, MAX_RECORD_LEN};
pub use counts::{Counts, KindCounts, LossCounts};
pub use error::{Damage, LineFault, MalformedLine, Place, RecordingError, Unit};
pub use format::Format;
pub use handlers::HandlerFilter;
pub use item::{
    Captured, ClockAnchor, DatapathPorts, Header, Item, Port, RecordedEvent, RecordedFailure,
};
pub use port_changes::PortChanges;
pub use script::{MAX_LINE, ScriptWriter, SyntaxError, SyntaxFault};
pub use write::{RecordingWriter, Unwritten};

use write::FLUSH_AGE;

use ending::Ending;
use format::UnknownVersion;
use found::{Found, Reader};

/// How to read a [`Recording`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Take a malformed line or record, or data that are cut or damaged, for an error. Otherwise
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
    reader: Reader,
    /// What messages call it.
    name: String,
    options: Options,
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

/// What there is for the caller.
enum Step {
    Header,
    /// An event that is wanted.
    Event(Ordinal),
    /// An event, by its start, that is malformed; or a place where events are missing.
    Gap,
    Ports,
    Anchor,
    Lost(EventKind, u64),
    Failed,
    End,
}

impl Recording {
    /// How many malformed lines are kept for [`Recording::malformed`].
    pub const MAX_KEPT_MALFORMED: usize = 10;

    /// Opens a recording: plain, gzip or Zstandard, which its first bytes tell.
    ///
    /// # Errors
    ///
    /// If the input cannot be opened, its first bytes cannot be read, or its format is too new.
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
    /// If the first bytes cannot be read, or the format is too new.
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
        let format = match Format::detect(stream.start()) {
            Ok(format) => format,
            Err(UnknownVersion(format)) => {
                return Err(RecordingError::UnknownVersion { name, format });
            }
        };
        Ok(Self {
            reader: Reader::new(format, stream),
            name,
            options,
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
            match self.step()? {
                Step::Event(ordinal) => {
                    let event = self.reader.event();
                    let record = event.record(ordinal, &mut self.ports);
                    let is_usable = matches!(record, Record::Event(_));
                    self.counts.kinds[event.kind].valid += u64::from(is_usable);
                    return Ok(Some((record, &self.ports)));
                }
                Step::Gap => return Ok(Some((Record::Unreadable, &self.ports))),
                Step::Lost(kind, count) => {
                    return Ok(Some((Record::Lost { kind, count }, &self.ports)));
                }
                Step::Failed => {
                    return Ok(Some((self.reader.failure().record(), &self.ports)));
                }
                Step::Header => {
                    let anchor = self.reader.header().and_then(|header| header.anchor);
                    if let Some(anchor) = anchor {
                        return Ok(Some((Record::Clock(anchor.into()), &self.ports)));
                    }
                }
                Step::Anchor => {
                    return Ok(Some((Record::Clock(self.reader.anchor().into()), &self.ports)));
                }
                Step::Ports => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// The next item as it stands in the recording, or `None` at the end: for those who copy or
    /// show recordings. Events are not judged, so none of them is counted as valid.
    ///
    /// # Errors
    ///
    /// As [`Recording::next`].
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, RecordingError> {
        Ok(Some(match self.step()? {
            Step::Header => match self.reader.header() {
                Some(header) => Item::Header(header),
                None => return Ok(None),
            },
            Step::Event(_) => Item::Event(self.reader.event()),
            Step::Gap => Item::Gap,
            Step::Ports => Item::Ports(self.reader.ports()),
            Step::Anchor => Item::Anchor(self.reader.anchor()),
            Step::Lost(kind, count) => Item::Lost { kind, count },
            Step::Failed => Item::Failed(self.reader.failure()),
            Step::End => return Ok(None),
        }))
    }

    /// Reads on to what the caller may want.
    fn step(&mut self) -> Result<Step, RecordingError> {
        loop {
            if let Some((kind, count)) = self.take_loss() {
                let miss = &mut self.counts.kinds[kind].miss;
                *miss = miss.saturating_add(count);
                return Ok(Step::Lost(kind, count));
            }
            let stop = self.options.stop_after.is_some_and(|stop| self.received >= stop.get());
            if self.finished || stop {
                return Ok(Step::End);
            }
            let step = self.read();
            self.finished = matches!(step, Ok(Some(Step::End)) | Err(_));
            self.counts.lines = self.reader.units();
            self.counts.bytes = self.reader.bytes();
            if let Some(step) = step? {
                return Ok(step);
            }
        }
    }

    fn take_loss(&mut self) -> Option<(EventKind, u64)> {
        let (kind, &count) = self.pending.iter().find(|&(_, &count)| count > 0)?;
        self.pending[kind] = 0;
        Some((kind, count))
    }

    /// Reads a line or record; `None` if the caller need not know of it, or not yet.
    fn read(&mut self) -> Result<Option<Step>, RecordingError> {
        let found = match self.reader.next() {
            Ok(found) => found,
            Err(error) => return self.end_early(error).map(Some),
        };
        Ok(match found {
            Found::Nothing => Some(Step::End),
            Found::Event => self.count_event().map(Step::Event),
            Found::Ports => {
                if self.add_ports() {
                    Some(Step::Ports)
                } else {
                    self.report(LineFault::TooManyDatapaths)?;
                    None
                }
            }
            Found::Losses => {
                self.pending = self.reader.losses();
                None
            }
            Found::Header => Some(Step::Header),
            Found::Anchor => Some(Step::Anchor),
            Found::Failed => Some(Step::Failed),
            Found::Gap => Some(Step::Gap),
            Found::Unrelated => {
                self.counts.unrelated += 1;
                None
            }
            Found::Malformed { fault, is_event } => {
                self.counts.event_lines += u64::from(is_event);
                self.counts.malformed_events += u64::from(is_event);
                self.report(fault)?;
                is_event.then_some(Step::Gap)
            }
        })
    }

    /// The ordinal of the event that was read, if it is wanted.
    fn count_event(&mut self) -> Option<Ordinal> {
        let ordinal = Ordinal(self.counts.event_lines);
        self.counts.event_lines += 1;
        let event = self.reader.event();
        let counts = &mut self.counts.kinds[event.kind];
        let handlers = self.options.handlers.as_ref();
        let is_wanted = event.kind == EventKind::DpUpcall
            || handlers.is_none_or(|handlers| handlers.contains(event.comm));
        if !is_wanted {
            counts.filtered += 1;
            return None;
        }
        counts.total += 1;
        self.received += 1;
        Some(ordinal)
    }

    /// Takes the ports that were read; `false` if there are too many datapaths.
    fn add_ports(&mut self) -> bool {
        for datapath in self.reader.ports() {
            let Some(id) = self.ports.datapath(&datapath.datapath) else { return false };
            for port in &datapath.ports {
                self.ports.set_port(id, port.number, &port.name, port.details());
            }
        }
        self.has_port_map = true;
        true
    }

    fn report(&mut self, fault: LineFault) -> Result<(), RecordingError> {
        let malformed = MalformedLine { place: self.place(), fault };
        self.counts.malformed += 1;
        if self.malformed.len() < Self::MAX_KEPT_MALFORMED {
            self.malformed.push(malformed);
        }
        if self.options.strict {
            return Err(RecordingError::Malformed { name: self.name.clone(), malformed });
        }
        Ok(())
    }

    /// The last line or record that was read.
    const fn place(&self) -> Place {
        Place { unit: self.reader.unit(), number: self.reader.units() }
    }

    /// The stream breaks: the system's fault, or that of the data.
    fn end_early(&mut self, error: io::Error) -> Result<Step, RecordingError> {
        let name = self.name.clone();
        let is_checked = self.format() == Format::Compact
            || self.reader.stream().compression() != Compression::None;
        if !is_checked || error.raw_os_error().is_some() {
            return Err(RecordingError::Read { name, error });
        }
        let damage = Damage { after: self.place(), error };
        if self.options.strict {
            return Err(RecordingError::Damaged { name, damage });
        }
        self.damage = Some(damage);
        Ok(Step::End)
    }

    /// The format of the recording.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.reader.format()
    }

    /// Datapaths and ports known so far.
    #[must_use]
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Whether ports were read. Without, a `dp_upcall` can be used only if it has its port's number.
    #[must_use]
    pub const fn has_port_map(&self) -> bool {
        self.has_port_map
    }

    /// What was read so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The first malformed lines or records so far, [`Recording::MAX_KEPT_MALFORMED`] at most; [`Counts`] has
    /// their number.
    #[must_use]
    pub fn malformed(&self) -> &[MalformedLine] {
        &self.malformed
    }

    /// Why the recording ended early: it is cut or damaged.
    #[must_use]
    pub const fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// How far the input is read, for a progress bar.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.reader.stream().progress()
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
