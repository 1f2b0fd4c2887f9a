//! The losses that a recording declares, found before it is read.
//!
//! upcall_cost.py writes `event_miss = {...}` at the end, but whoever joins events wants to know
//! at the start whether there may be gaps.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::source::input::{Compression, Stream};

use super::counts::LossCounts;
use super::lines::{Lines, Statement};
use super::literal::Cursor;
use super::port_map::read_losses;

/// How much of the end of an uncompressed file is looked at, in bytes.
const TAIL_LEN: u64 = 64 * 1024;

/// Finds what `file`, of `len` bytes, declares: in the last lines of an uncompressed one, anywhere
/// in a compressed one, which is decompressed for it. Leaves `file` at its start.
///
/// # Errors
///
/// What the system or the decompressor reports: then the losses cannot be known.
pub(super) fn declared(file: &mut File, len: u64) -> io::Result<LossCounts> {
    let found = search(file, len);
    file.rewind()?;
    found
}

fn search(file: &mut File, len: u64) -> io::Result<LossCounts> {
    let mut start = Vec::new();
    file.by_ref().take(Compression::MAGIC_LEN).read_to_end(&mut start)?;
    let compression = Compression::detect(&start);
    let from = match compression {
        Compression::None => len.saturating_sub(TAIL_LEN),
        Compression::Gzip | Compression::Zstd => 0,
    };
    file.seek(SeekFrom::Start(from))?;
    let mut lines = Lines::new(Stream::of(compression, file.try_clone()?, Some(len))?);
    if from > 0 {
        // Most probably the end of a line that begins before.
        lines.next()?;
    }
    let mut losses = LossCounts::default();
    while let Some(line) = lines.next()? {
        if let Some((Statement::Losses, at)) = line.statement()
            && let Ok(found) = read_losses(Cursor::new(line.bytes, at))
        {
            losses += found;
        }
    }
    Ok(losses)
}
