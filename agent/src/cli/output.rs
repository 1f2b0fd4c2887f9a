//! The recording that a command writes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::anyhow;
use upspan::source::recording::{Format, Header, RecordingWriter};

use super::stderr::say;

/// How to write a recording.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct FormatArgs {
    /// Format of the recording that is written, whatever its name
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Compact)]
    record_format: Format,
}

#[cfg(all(test, feature = "live", target_os = "linux"))]
impl FormatArgs {
    pub(super) const COMPACT: Self = Self { record_format: Format::Compact };
}

/// A file or standard output, and its name for messages.
pub(super) struct Output {
    writer: RecordingWriter<BufWriter<Box<dyn Write + Send>>>,
    name: String,
}

impl Output {
    /// Creates `path`, or empties it; `-` is standard output.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub(super) fn create(path: &Path, format: FormatArgs, header: &Header) -> anyhow::Result<Self> {
        let (name, out): (_, Box<dyn Write + Send>) = if path == Path::new("-") {
            ("standard output".to_owned(), Box::new(io::stdout()))
        } else {
            let name = path.display().to_string();
            let file =
                File::create(path).map_err(|error| anyhow!("cannot create {name}: {error}"))?;
            (name, Box::new(file))
        };
        let out = BufWriter::with_capacity(64 * 1024, out);
        let writer = RecordingWriter::new(format.record_format, out, header)?;
        Ok(Self { writer, name })
    }

    /// Writes something.
    ///
    /// # Errors
    ///
    /// The file takes no more. Unlike with a report, that is an error also where a pipe's reader
    /// has gone: a recording is of use only as a whole.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&mut RecordingWriter<BufWriter<Box<dyn Write + Send>>>) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        write(&mut self.writer).map_err(|error| cannot_write(&self.name, &error))
    }

    /// Ends the recording, and says what its format had no place for.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let Self { writer, name } = self;
        let failures = writer.unwritten().failures;
        writer.finish().map_err(|error| cannot_write(&name, &error))?;
        if failures > 0 {
            say(format_args!(
                "upspan: {name}: {failures} upcalls that the kernel could not deliver were left \
                 out: the script's format has no place for them"
            ));
        }
        Ok(())
    }
}

/// The text of the error, and not the error: whoever prints it need not tell it from one of the
/// terminal.
fn cannot_write(name: &str, error: &io::Error) -> anyhow::Error {
    let then = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; what was written until then can be read. Free space, or choose another place"
        }
        io::ErrorKind::BrokenPipe => ": nobody reads it any more",
        _ => "",
    };
    anyhow!("cannot write to {name}: {error}{then}")
}
