//! The last lines of a recording, without the rest of it.

use std::io;

use memchr::memmem;

use crate::event::MonotonicNs;
use crate::source::input::Stream;
use crate::source::recording::ending::Ending;

use super::lines::{Lines, Statement};
use super::literal::Cursor;
use super::port_map::read_losses;

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Begins {
    /// With a line.
    AtLine,
    /// Most probably within a line.
    WithinLine,
}

/// What the lines of `stream` say of the recording's end.
///
/// # Errors
///
/// What the stream reports.
pub(in super::super) fn skim(stream: Stream, begins: Begins) -> io::Result<Ending> {
    let mut lines = Lines::new(stream);
    if begins == Begins::WithinLine {
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
