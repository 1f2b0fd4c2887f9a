//! What both formats' readers find.

use std::io;

use crate::source::input::Stream;

use super::item::{ClockAnchor, DatapathPorts, Header, RecordedEvent, RecordedFailure};
use super::{Format, LineFault, LossCounts, Unit, compact, script};

/// What a reader has found; it keeps what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Header,
    Event,
    Ports,
    Losses,
    Anchor,
    Failed,
    Gap,
    /// Something that the reader does not know, and leaves out.
    Unrelated,
    /// Something that it knows, but cannot read.
    Malformed {
        fault: LineFault,
        is_event: bool,
    },
    /// The end.
    Nothing,
}

/// Reads either format.
pub(super) enum Reader {
    Script(Box<script::Reader>),
    Compact(Box<compact::Reader>),
}

impl Reader {
    /// Of a stream in this format.
    pub(super) fn new(format: Format, stream: Stream) -> Self {
        match format {
            Format::Script => Self::Script(Box::new(script::Reader::new(stream))),
            Format::Compact => Self::Compact(Box::new(compact::Reader::new(stream))),
        }
    }

    pub(super) const fn format(&self) -> Format {
        match self {
            Self::Script(_) => Format::Script,
            Self::Compact(_) => Format::Compact,
        }
    }

    /// What comes next.
    ///
    /// # Errors
    ///
    /// What the stream reports; of the compact format, also where it is cut or makes no sense.
    pub(super) fn next(&mut self) -> io::Result<Found> {
        match self {
            Self::Script(reader) => reader.next(),
            Self::Compact(reader) => reader.next(),
        }
    }

    /// The event that was found.
    pub(super) fn event(&self) -> RecordedEvent<'_> {
        match self {
            Self::Script(reader) => reader.event(),
            Self::Compact(reader) => reader.event(),
        }
    }

    /// The ports that were found.
    pub(super) fn ports(&self) -> &[DatapathPorts] {
        match self {
            Self::Script(reader) => reader.ports(),
            Self::Compact(reader) => reader.ports(),
        }
    }

    /// The losses that were found.
    pub(super) const fn losses(&self) -> LossCounts {
        match self {
            Self::Script(reader) => reader.losses(),
            Self::Compact(reader) => reader.losses(),
        }
    }

    /// The header that was found, now or before.
    pub(super) fn header(&self) -> Option<&Header> {
        match self {
            Self::Script(_) => None,
            Self::Compact(reader) => reader.header(),
        }
    }

    /// The anchor that was found.
    pub(super) fn anchor(&self) -> ClockAnchor {
        match self {
            Self::Script(_) => ClockAnchor::default(),
            Self::Compact(reader) => reader.anchor(),
        }
    }

    /// The failure that was found.
    pub(super) fn failure(&self) -> RecordedFailure {
        match self {
            Self::Script(_) => RecordedFailure::default(),
            Self::Compact(reader) => reader.failure(),
        }
    }

    /// What the recording consists of.
    pub(super) const fn unit(&self) -> Unit {
        match self {
            Self::Script(_) => Unit::Line,
            Self::Compact(_) => Unit::Record,
        }
    }

    /// Lines or records so far.
    pub(super) const fn units(&self) -> u64 {
        match self {
            Self::Script(reader) => reader.lines(),
            Self::Compact(reader) => reader.records(),
        }
    }

    /// Decompressed bytes of them.
    pub(super) const fn bytes(&self) -> u64 {
        match self {
            Self::Script(reader) => reader.bytes(),
            Self::Compact(reader) => reader.bytes(),
        }
    }

    pub(super) const fn stream(&self) -> &Stream {
        match self {
            Self::Script(reader) => reader.stream(),
            Self::Compact(reader) => reader.stream(),
        }
    }
}
