//! Spans as OTLP JSON lines, in a file or on standard output.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use thiserror::Error;

use super::account::{Account, Totals};
use super::failure::FailureReason;
use crate::trace::{EncodedSpans, Envelope};

/// Writes each batch as one line: an `ExportTraceServiceRequest` in the OTLP JSON encoding, the
/// format of the OpenTelemetry Collector's file exporter and receiver, and of Jaeger UI's upload
/// (<https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>).
///
/// A line is written at once when its batch comes, and counts as delivered when the system has taken
/// all of it. What a failed write left of a line in a regular file is cut off again.
#[derive(Debug)]
pub struct FileOutput {
    sink: Sink,
    envelope: Envelope,
    account: Arc<Account>,
    line: Vec<u8>,
}

#[derive(Debug)]
enum Sink {
    Stdout(io::Stdout),
    File {
        file: File,
        path: PathBuf,
        /// Length of the whole lines in bytes, where the file can be cut back to it.
        whole: Option<u64>,
    },
}

/// The output cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The file cannot be made.
    #[error("cannot create {path}: {error}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file or pipe took no more. The spans of the batch count as failed.
    #[error("cannot write to {name}: {error}; free space or choose another place for --output")]
    Write {
        /// The file, or "standard output".
        name: String,
        /// Why.
        error: io::Error,
    },
    /// The batch is no OTLP. The spans count as failed.
    #[error("cannot convert a batch to JSON: {0}; please report this as a bug")]
    Encoding(String),
}

impl FileOutput {
    /// Creates `path`, or empties it; `-` is standard output.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, envelope: Envelope) -> Result<Self, OutputError> {
        let sink = if path == Path::new("-") {
            Sink::Stdout(io::stdout())
        } else {
            let create = |path: &Path| {
                let file = File::create(path)?;
                let whole = file.metadata()?.is_file().then_some(0);
                Ok((file, whole))
            };
            let path = path.to_owned();
            match create(&path) {
                Ok((file, whole)) => Sink::File { file, path, whole },
                Err(error) => return Err(OutputError::Create { path, error }),
            }
        };
        Ok(Self { sink, envelope, account: Arc::default(), line: Vec::new() })
    }

    /// The running count of where spans ended.
    #[must_use]
    pub fn account(&self) -> Arc<Account> {
        Arc::clone(&self.account)
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// When the line could not be written whole; its spans then count as failed. It makes sense to
    /// go on only where the cause may pass, as a full disk may.
    pub fn write(&mut self, spans: &EncodedSpans) -> Result<(), OutputError> {
        let ticket = self.account.accept(spans.spans);
        let written = self.encode(spans).and_then(|()| self.sink.write(&self.line));
        match written {
            Ok(()) => ticket.delivered(0),
            Err(_) => ticket.failed(FailureReason::Output),
        }
        written
    }

    /// Where every span ended.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.account.totals()
    }

    fn encode(&mut self, spans: &EncodedSpans) -> Result<(), OutputError> {
        self.line.clear();
        let request = ExportTraceServiceRequest::decode(self.envelope.request(spans))
            .map_err(|error| OutputError::Encoding(error.to_string()))?;
        serde_json::to_writer(&mut self.line, &request)
            .map_err(|error| OutputError::Encoding(error.to_string()))?;
        self.line.push(b'\n');
        Ok(())
    }
}

impl Sink {
    fn write(&mut self, line: &[u8]) -> Result<(), OutputError> {
        match self {
            Self::Stdout(stdout) => stdout
                .write_all(line)
                .and_then(|()| stdout.flush())
                .map_err(|error| OutputError::Write { name: "standard output".to_owned(), error }),
            Self::File { file, path, whole } => match file.write_all(line) {
                Ok(()) => {
                    *whole = whole.map(|whole| whole + line.len() as u64);
                    Ok(())
                }
                Err(error) => {
                    if let Some(whole) = *whole {
                        cut_back(file, whole);
                    }
                    Err(OutputError::Write { name: path.display().to_string(), error })
                }
            },
        }
    }
}

/// Removes half a line. Best effort: the write's own error is the one to report.
fn cut_back(file: &mut File, len: u64) {
    let cut = file.set_len(len).and_then(|()| io::Seek::seek(file, io::SeekFrom::Start(len)));
    if let Err(error) = cut {
        tracing::warn!("the last line of the output is not whole: {error}");
    }
}

#[cfg(test)]
mod tests;
