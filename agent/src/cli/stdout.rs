//! Writing to standard output.

use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::Context;
use terminal_size::{Width, terminal_size};
use upspan::export::OutputError;
use upspan::report::waterfall::DEFAULT_WIDTH;

/// What an error of standard output says.
pub(super) const CANNOT_WRITE: &str = "cannot write to standard output";

/// Whether the command ended because nobody reads its output any more.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| match cause.downcast_ref() {
            Some(OutputError::Write { error, .. }) => Some(error),
            _ => cause.downcast_ref::<io::Error>(),
        })
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes something to standard output, buffered.
pub(super) fn write(
    print: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    print(&mut out).and_then(|()| out.flush()).context(CANNOT_WRITE)
}

/// Writes a value as JSON, with a line's end.
pub(super) fn write_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    write(|out| {
        serde_json::to_writer(&mut *out, value)?;
        writeln!(out)
    })
}

/// Columns of the terminal.
pub(super) fn width() -> usize {
    terminal_size().map_or(DEFAULT_WIDTH, |(Width(width), _)| usize::from(width))
}
