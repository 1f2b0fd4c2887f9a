//! Writes either format.

use std::io::{self, Write};

use crate::event::{EventKind, MonotonicNs};

use super::{
    ClockAnchor, CompactWriter, DatapathPorts, Format, Header, Item, RecordedEvent,
    RecordedFailure, ScriptWriter,
};

/// Nanoseconds of recorded time after which [`RecordingWriter::flush_due`] flushes.
pub(super) const FLUSH_AGE: i64 = 1_000_000_000;

/// What the format has no place for, of what a writer was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// Upcalls that the kernel could not deliver.
    pub failures: u64,
    /// Measurements of the clocks.
    pub anchors: u64,
}

/// Writes a recording in either format.
#[derive(Debug)]
pub enum RecordingWriter<W> {
    /// The script's.
    Script(ScriptWriter<W>),
    /// The compact one.
    Compact(Box<CompactWriter<W>>),
}

impl<W: Write> RecordingWriter<W> {
    /// Begins a recording in this format that comes from there.
    ///
    /// # Errors
    ///
    /// If there is no memory to compress with.
    pub fn new(format: Format, out: W, header: &Header) -> io::Result<Self> {
        Ok(match format {
            Format::Script => Self::Script(ScriptWriter::new(out)),
            Format::Compact => Self::Compact(Box::new(CompactWriter::new(out, header)?)),
        })
    }

    /// Adds ports to those known.
    ///
    /// # Errors
    ///
    /// What the output reports; this holds for the other methods, too. There is no going on then.
    pub fn ports(&mut self, datapaths: &[DatapathPorts]) -> io::Result<()> {
        match self {
            Self::Script(writer) => writer.ports(datapaths),
            Self::Compact(writer) => writer.ports(datapaths),
        }
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// As [`CompactWriter::event`].
    pub fn event(&mut self, event: &RecordedEvent<'_>) -> io::Result<()> {
        match self {
            Self::Script(writer) => writer.event(event),
            Self::Compact(writer) => writer.event(event),
        }
    }

    /// Says that events were lost at about this place.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn lost(&mut self, kind: EventKind, count: u64) -> io::Result<()> {
        match self {
            Self::Script(writer) => {
                writer.lost(kind, count);
                Ok(())
            }
            Self::Compact(writer) => writer.lost(kind, count),
        }
    }

    /// Adds an upcall that the kernel could not deliver, where the format has a place for it.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn failed(&mut self, failure: &RecordedFailure) -> io::Result<()> {
        match self {
            Self::Script(writer) => {
                writer.unwritten.failures += 1;
                Ok(())
            }
            Self::Compact(writer) => writer.failed(failure),
        }
    }

    /// Says that events are missing at this place, where the format has a place for it.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn gap(&mut self) -> io::Result<()> {
        match self {
            Self::Script(_) => Ok(()),
            Self::Compact(writer) => writer.gap(),
        }
    }

    /// Adds a new measurement of the clocks, where the format has a place for it.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn anchor(&mut self, anchor: ClockAnchor) -> io::Result<()> {
        match self {
            Self::Script(writer) => {
                writer.unwritten.anchors += 1;
                Ok(())
            }
            Self::Compact(writer) => writer.anchor(anchor),
        }
    }

    /// What was left out so far, for lack of a place in the format.
    #[must_use]
    pub fn unwritten(&self) -> Unwritten {
        match self {
            Self::Script(writer) => writer.unwritten,
            Self::Compact(_) => Unwritten::default(),
        }
    }

    /// Adds what stands in another recording. A header counts as nothing, as it comes from the
    /// start or not at all.
    ///
    /// # Errors
    ///
    /// As the method for that item.
    pub fn item(&mut self, item: Item<'_>) -> io::Result<()> {
        match item {
            Item::Header(_) => Ok(()),
            Item::Gap => self.gap(),
            Item::Ports(datapaths) => self.ports(datapaths),
            Item::Event(event) => self.event(&event),
            Item::Lost { kind, count } => self.lost(kind, count),
            Item::Anchor(anchor) => self.anchor(anchor),
            Item::Failed(failure) => self.failed(&failure),
        }
    }

    /// Hands what was written to the system; of the compact format, ends the frame.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Script(writer) => writer.flush(),
            Self::Compact(writer) => writer.flush(),
        }
    }

    /// As [`RecordingWriter::flush`], if what was written since the last time begins a second or
    /// more before `now`. A live recorder calls this several times a second, for it costs nothing
    /// otherwise.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn flush_due(&mut self, now: MonotonicNs) -> io::Result<()> {
        match self {
            Self::Script(writer) => writer.flush_due(now),
            Self::Compact(writer) => writer.flush_due(now),
        }
    }

    /// Ends the recording, and gives the output back.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Script(writer) => writer.finish(),
            Self::Compact(writer) => writer.finish(),
        }
    }
}
