//! What the end of a recording says, found before it is read.
//!
//! upcall_cost.py writes `event_miss = {...}` at the end, but whoever joins events wants to know
//! at the start whether there may be gaps. Likewise for the time at which the recording ends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;

use crate::event::MonotonicNs;
use crate::source::input::{Compression, Stream};

use super::counts::LossCounts;
use super::lines::{Lines, Statement};
use super::literal::Cursor;
use super::port_map::read_losses;

/// How much of the end of an uncompressed file is looked at, in bytes.
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
    /// Looks at the last lines of `file`, of `len` bytes; a compressed one is decompressed for it.
    /// Leaves `file` at its start.
    ///
    /// # Errors
    ///
    /// What the system or the decompressor reports: then the end cannot be known.
    pub(super) fn of(file: &mut File, len: u64) -> io::Result<Self> {
        let found = search(file, len);
        file.rewind()?;
        found
    }
}

fn search(file: &mut File, len: u64) -> io::Result<Ending> {
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
    let time = memmem::Finder::new(b"'ts': ");
    let mut ending = Ending::default();
    while let Some(line) = lines.next()? {
        match line.statement() {
            Some((Statement::Losses, at)) => {
                if let Ok(found) = read_losses(Cursor::new(line.bytes, at)) {
                    ending.losses += found;
                }
            }
            Some((Statement::Event, _)) => {
                ending.last = timestamp(line.bytes, &time).or(ending.last);
            }
            Some((Statement::PortMap, _)) | None => {}
        }
    }
    Ok(ending)
}

/// The number after `'ts': `, of a line that need not be whole: it is one of the first fields.
fn timestamp(line: &[u8], time: &memmem::Finder<'_>) -> Option<MonotonicNs> {
    const FIRST_FIELDS: usize = 256;
    let start = &line[..line.len().min(FIRST_FIELDS)];
    let digits = &start[time.find(start)? + time.needle().len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok().map(MonotonicNs)
}
