//! What the end of a recording says, found before it is read.
//!
//! A recording tells at its end what was lost, but whoever joins events wants to know at the start
//! whether there may be gaps. Likewise for the time at which the recording ends.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use crate::event::MonotonicNs;
use crate::source::input::{Compression, Stream};

use super::counts::LossCounts;
use super::{Format, compact, script};

/// How much of the end of an uncompressed file in the script's format is looked at, in bytes.
const TAIL_LEN: u64 = 64 * 1024;

/// What the end says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// Declared losses.
    pub(super) losses: LossCounts,
    /// Time of the last event.
    pub(super) last: Option<MonotonicNs>,
}

impl Ending {
    /// Looks at the end of `file`, of `len` bytes; a compressed one is decompressed for it. Leaves
    /// `file` at its start.
    ///
    /// # Errors
    ///
    /// What the system, the decompressor or the reader reports: then the end cannot be known.
    pub(super) fn of(file: &mut File, len: u64) -> io::Result<Self> {
        let found = search(file, len);
        file.rewind()?;
        found
    }
}

fn search(file: &mut File, len: u64) -> io::Result<Ending> {
    let stream = Stream::new(file.try_clone()?, Some(len))?;
    match Format::detect(stream.start()) {
        Err(_) => Err(io::ErrorKind::Unsupported.into()),
        Ok(Format::Compact) => compact::skim(stream),
        Ok(Format::Script) if stream.compression() != Compression::None => {
            script::skim(stream, script::Begins::AtLine)
        }
        Ok(Format::Script) => {
            let from = len.saturating_sub(TAIL_LEN);
            file.seek(SeekFrom::Start(from))?;
            let stream = Stream::of(Compression::None, file.try_clone()?, Some(len))?;
            let begins = match from {
                0 => script::Begins::AtLine,
                _ => script::Begins::WithinLine,
            };
            script::skim(stream, begins)
        }
    }
}
