//! What can be wrong with a recording.

use std::fmt;
use std::io;

use crate::source::input::InputError;

use super::MAX_LINE;
use super::SyntaxError;

/// Why a line or record of a recording cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// It is not the Python literal that it should be.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// An event lacks a field that its kind needs.
    #[error("the field '{0}' is missing")]
    Missing(&'static str),
    /// A number that its field cannot hold.
    #[error("the {0} is out of range")]
    OutOfRange(&'static str),
    /// An event code beyond those of [`EventKind`](crate::event::EventKind).
    #[error("there is no event {0}")]
    UnknownKind(i128),
    /// The port map has more datapaths than are kept.
    #[error("there are too many datapaths")]
    TooManyDatapaths,
    /// The line is longer than any that upcall_cost.py writes.
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// The input ends within the line.
    #[error("the line is cut: the recording ends in the middle of it")]
    Cut,
    /// The record's bytes are not the protobuf message that they should be.
    #[error("it is no record of this format")]
    NoMessage,
    /// The recording's end counts other events than those before it.
    #[error("{declared} events should come before this end, but {read} did")]
    EventsMissing {
        /// Events by the record.
        declared: u64,
        /// Events that were there.
        read: u64,
    },
}

/// What a recording consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines: the script's format.
    Line,
    /// Records: the compact format.
    Record,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Line => "line",
            Self::Record => "record",
        })
    }
}

/// A place in a recording, such as `line 20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is counted.
    pub unit: Unit,
    /// Its number, from 1 on.
    pub number: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.unit, self.number)
    }
}

/// A place behind the name of its file: `FILE:20`, as compilers write it.
struct InFile<'a>(&'a str, Place);

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.unit {
            Unit::Line => write!(f, "{}:{}", self.0, self.1.number),
            Unit::Record => write!(f, "{}: {}", self.0, self.1),
        }
    }
}

/// Why a recording cannot be read, or not on.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The input cannot be opened.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The system cannot read on.
    #[error("cannot read {name}: {error}")]
    Read {
        /// Name of the input.
        name: String,
        /// What the system says.
        error: io::Error,
    },
    /// It is of a version of the compact format that came after this upspan.
    #[error("{name} has the format {format}, which this upspan does not read: use a newer one")]
    UnknownVersion {
        /// Name of the input.
        name: String,
        /// Name of the format.
        format: String,
    },
    /// A malformed line or record, in strict mode.
    #[error("{}: {}", InFile(name, malformed.place), malformed.fault)]
    Malformed {
        /// Name of the input.
        name: String,
        /// Which line or record, and what is wrong with it.
        malformed: MalformedLine,
    },
    /// The data are cut or damaged, in strict mode.
    #[error("{name}: {damage}")]
    Damaged {
        /// Name of the input.
        name: String,
        /// Where and what.
        damage: Damage,
    },
}

/// A place from which on a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the {} cut or damaged after {after}: {error}", .after.unit.whole())]
pub struct Damage {
    /// The last line or record before the damage.
    pub after: Place,
    /// What the decompressor says, or the reader of the compact format.
    pub error: io::Error,
}

impl Unit {
    const fn whole(self) -> &'static str {
        match self {
            Self::Line => "compressed data are",
            Self::Record => "recording is",
        }
    }
}

/// A malformed line or record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct MalformedLine {
    /// Where it is.
    pub place: Place,
    /// What is wrong with it.
    pub fault: LineFault,
}
