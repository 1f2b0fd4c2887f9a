//! What can be wrong with a recording.

use std::io;

use crate::source::input::InputError;

use super::MAX_LINE;
use super::literal::SyntaxError;

/// Why a line of a recording cannot be used.
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
    /// A malformed line, in strict mode.
    #[error("{name}:{}: {}", malformed.line, malformed.fault)]
    Malformed {
        /// Name of the input.
        name: String,
        /// Which line, and what is wrong with it.
        malformed: MalformedLine,
    },
    /// The compressed data are cut or damaged, in strict mode.
    #[error("{name}: {damage}")]
    Damaged {
        /// Name of the input.
        name: String,
        /// Where and what.
        damage: Damage,
    },
}

/// A place from which on compressed data cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the compressed data are cut or damaged after line {line}: {error}")]
pub struct Damage {
    /// Number of the last line before the damage.
    pub line: u64,
    /// What the decompressor says.
    pub error: io::Error,
}

/// A malformed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct MalformedLine {
    /// Its number, from 1 on.
    pub line: u64,
    /// What is wrong with it.
    pub fault: LineFault,
}
