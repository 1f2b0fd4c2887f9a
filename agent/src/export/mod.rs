//! Spans leave: to an OTLP/gRPC backend, or to a file of OTLP JSON lines.
//!
//! The pipeline encodes spans once, straight to OTLP wire bytes, and cuts batches of whole traces by
//! [`BatchLimits`]. An [`Exporter`] ships them: several requests in flight, retries as the OTLP
//! specification says, back-pressure instead of drops. A [`FileOutput`] writes them as JSON. Both
//! keep an [`Account`]: every span ends in exactly one of delivered, rejected and failed.
//! [`Receiver`] is the other end, for a demonstration without a backend.

mod account;
mod batch;
mod client;
mod codec;
mod config;
mod delivery;
mod env;
mod error;
mod exporter;
mod failure;
mod file;
mod headers;
mod options;
mod problems;
mod receiver;
mod retry;
mod target;
mod tls;

pub use account::{Account, Totals};
pub use batch::{BatchLimits, InvalidBatchLimits};
pub(crate) use codec::BytesEncoder;
pub use config::ExportConfig;
pub(crate) use env::Setting;
pub use error::{ConfigError, Invalid};
pub use exporter::{Closed, ExportSummary, Exporter, NotForwarded, SpanSender, StartError};
pub use failure::FailureReason;
pub use file::{FileOutput, OutputError};
pub use options::{Compression, ExportOptions};
pub use problems::Problem;
pub use receiver::{Received, Receiver};
pub use retry::{Backoff, InvalidBackoff, RetryPolicy};
pub(crate) use tls::{TlsFiles, TlsMaterial};
