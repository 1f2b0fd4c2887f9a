//! The export flags of the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tonic::codec::CompressionEncoding;

/// What the command line says of the export; what it leaves open is taken from the OTEL_*
/// environment variables by [`ExportConfig::resolve`](super::ExportConfig::resolve).
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Export")]
pub struct ExportOptions {
    /// OTLP/gRPC endpoint: http://HOST:4317, https://HOST:4317, or HOST:PORT (TLS unless
    /// --insecure) [env: OTEL_EXPORTER_OTLP_ENDPOINT] [default: http://localhost:4317]
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,

    /// Header sent with each request; repeatable [env: OTEL_EXPORTER_OTLP_HEADERS]
    #[arg(long = "header", value_name = "KEY=VALUE")]
    pub headers: Vec<String>,

    /// Compression of requests [env: OTEL_EXPORTER_OTLP_COMPRESSION] [default: none]
    #[arg(long, value_enum)]
    pub compression: Option<Compression>,

    /// Wait for the answer to a request [env: OTEL_EXPORTER_OTLP_TIMEOUT, in ms] [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub export_timeout: Option<Duration>,

    /// Keep trying to deliver a batch; 0s for a single attempt [env: OTEL_BSP_EXPORT_TIMEOUT, in
    /// ms] [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub retry_max_elapsed: Option<Duration>,

    /// Requests in flight at a time [default: 4]
    #[arg(long, value_name = "N")]
    pub export_concurrency: Option<usize>,

    /// Trust this CA certificate (PEM) in place of the system's [env:
    /// OTEL_EXPORTER_OTLP_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    pub ca_certificate: Option<PathBuf>,

    /// Certificate to show to the backend, with its chain (PEM) [env:
    /// OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,

    /// Private key of that certificate (PEM) [env: OTEL_EXPORTER_OTLP_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    pub client_key: Option<PathBuf>,

    /// No TLS to an endpoint given without http:// or https:// [env: OTEL_EXPORTER_OTLP_INSECURE]
    #[arg(long)]
    pub insecure: bool,

    /// Most spans in a request [env: OTEL_BSP_MAX_EXPORT_BATCH_SIZE] [default: 2048]
    #[arg(long, value_name = "N")]
    pub batch_spans: Option<usize>,

    /// Most bytes of spans in a request, before compression [default: 3145728]
    #[arg(long, value_name = "BYTES")]
    pub batch_bytes: Option<usize>,

    /// Longest wait of a span for its batch to fill [env: OTEL_BSP_SCHEDULE_DELAY, in ms]
    /// [default: 1s; of upspan run, 250ms]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub batch_delay: Option<Duration>,

    /// Most spans queued and in flight; past it, a replay waits, and upspan run drops them
    /// [env: OTEL_BSP_MAX_QUEUE_SIZE] [default: 16384]
    #[arg(long, value_name = "N")]
    pub queue_spans: Option<usize>,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Not at all: cheapest for a collector on the same node.
    #[default]
    None,
    /// Understood by every backend; costs several times the CPU of everything else.
    Gzip,
    /// Smaller and much cheaper than gzip; the OpenTelemetry Collector and Tempo take it.
    Zstd,
}

impl Compression {
    pub(crate) const fn encoding(self) -> Option<CompressionEncoding> {
        match self {
            Self::None => None,
            Self::Gzip => Some(CompressionEncoding::Gzip),
            Self::Zstd => Some(CompressionEncoding::Zstd),
        }
    }
}
