//! The configuration of the OTLP export: flags above OTEL_* variables above defaults.

use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use tonic::metadata::MetadataMap;

use super::batch::{BatchLimits, InvalidBatchLimits};
use super::env::{Env, Setting, boolean, millis, number};
use super::error::{ConfigError, Invalid};
use super::options::{Compression, ExportOptions};
use super::retry::{Backoff, RetryPolicy};
use super::tls::{TlsFiles, TlsMaterial, file};
use super::{headers, target};

/// Everything that the exporter needs to know, checked.
///
/// Its Debug form holds no secrets: neither values of headers nor keys.
#[derive(Clone, Debug)]
pub struct ExportConfig {
    endpoint: Uri,
    headers: MetadataMap,
    tls: Option<TlsMaterial>,
    compression: Compression,
    timeout: Duration,
    retry: RetryPolicy,
    batch: BatchLimits,
    max_queue_spans: u32,
    concurrency: usize,
}

impl ExportConfig {
    /// Wait for an answer unless configured, as the specification says.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// Spans in the queue and in flight unless configured: eight full batches, so that four are in
    /// flight while the next ones are made. At 1 KiB a span, that bounds the memory to 16 MiB.
    pub const DEFAULT_QUEUE_SPANS: usize = 8 * BatchLimits::DEFAULT_SPANS;

    /// Requests in flight unless configured. One would leave the line idle for a round trip after
    /// each request; the specification recommends concurrency for that reason.
    pub const DEFAULT_CONCURRENCY: usize = 4;

    /// Most requests in flight, whatever is configured: servers allow about a hundred streams on a
    /// connection.
    pub const MAX_CONCURRENCY: usize = 1024;

    /// Resolves `options` and the environment, which `env` looks up. `None` when
    /// `OTEL_SDK_DISABLED=true` switches the export off and no `--endpoint` insists on it.
    ///
    /// Where the batch size exceeds the queue's, the queue's wins.
    ///
    /// # Errors
    /// When a flag or variable cannot be used: the specification would have us warn and go on, but
    /// spans that silently go elsewhere are worse than a command that fails at once.
    pub fn resolve(
        options: &ExportOptions,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let env = Env(env);
        let disabled = env.get("OTEL_SDK_DISABLED").is_some_and(|setting| boolean(&setting));
        if disabled && options.endpoint.is_none() {
            return Ok(None);
        }
        check_protocol(env)?;
        let endpoint = endpoint(options, env)?;
        let tls = (endpoint.scheme() == Some(&Scheme::HTTPS))
            .then(|| tls_files(options, env).load())
            .transpose()?;
        let queue = positive(
            flag("--queue-spans", options.queue_spans),
            env.get("OTEL_BSP_MAX_QUEUE_SIZE"),
            Self::DEFAULT_QUEUE_SPANS,
            number,
        )?;
        let max_elapsed = setting(
            flag("--retry-max-elapsed", options.retry_max_elapsed),
            env.get("OTEL_BSP_EXPORT_TIMEOUT"),
            RetryPolicy::DEFAULT_MAX_ELAPSED,
            millis,
        )?;
        Ok(Some(Self {
            endpoint,
            tls,
            headers: request_headers(options, env)?,
            compression: compression(options, env)?,
            timeout: positive(
                flag("--export-timeout", options.export_timeout),
                env.otlp("TIMEOUT"),
                Self::DEFAULT_TIMEOUT,
                millis,
            )?,
            retry: RetryPolicy::new(Backoff::default(), max_elapsed.value),
            batch: batch_limits(options, env, queue)?,
            max_queue_spans: u32::try_from(queue).unwrap_or(u32::MAX),
            concurrency: positive(
                flag("--export-concurrency", options.export_concurrency),
                None,
                Self::DEFAULT_CONCURRENCY,
                number,
            )?
            .min(queue)
            .min(Self::MAX_CONCURRENCY),
        }))
    }

    /// The same with another retry policy; the command line sets only its duration.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Scheme, host and port of the backend.
    #[must_use]
    pub const fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// Where to cut batches before they are sent.
    #[must_use]
    pub const fn batch(&self) -> BatchLimits {
        self.batch
    }

    /// Wait for the answer to one request.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// When a failed batch is tried again.
    #[must_use]
    pub const fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// Compression of requests.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// Most spans queued and in flight.
    #[must_use]
    pub const fn max_queue_spans(&self) -> u32 {
        self.max_queue_spans
    }

    /// Most requests in flight.
    #[must_use]
    pub const fn concurrency(&self) -> usize {
        self.concurrency
    }

    pub(crate) const fn headers(&self) -> &MetadataMap {
        &self.headers
    }

    pub(crate) const fn tls(&self) -> Option<&TlsMaterial> {
        self.tls.as_ref()
    }
}

fn check_protocol(env: Env<'_>) -> Result<(), ConfigError> {
    match env.otlp("PROTOCOL") {
        Some(protocol) if protocol.value != "grpc" => {
            Err(ConfigError::new(protocol.origin, Invalid::Protocol(protocol.value)))
        }
        _ => Ok(()),
    }
}

fn endpoint(options: &ExportOptions, env: Env<'_>) -> Result<Uri, ConfigError> {
    let insecure =
        options.insecure || env.otlp("INSECURE").is_some_and(|setting| boolean(&setting));
    let parsed = flag("--endpoint", options.endpoint.clone())
        .or_else(|| env.otlp("ENDPOINT"))
        .unwrap_or_else(|| Setting::new("default", target::DEFAULT.to_owned()))
        .parse(|text| target::parse(text.trim(), insecure))?;
    Ok(parsed.value)
}

fn tls_files(options: &ExportOptions, env: Env<'_>) -> TlsFiles {
    TlsFiles {
        ca: file("--ca-certificate", options.ca_certificate.as_deref(), env.otlp("CERTIFICATE")),
        certificate: file(
            "--client-certificate",
            options.client_certificate.as_deref(),
            env.otlp("CLIENT_CERTIFICATE"),
        ),
        key: file("--client-key", options.client_key.as_deref(), env.otlp("CLIENT_KEY")),
    }
}

fn request_headers(options: &ExportOptions, env: Env<'_>) -> Result<MetadataMap, ConfigError> {
    let mut headers = MetadataMap::new();
    if let Some(list) = env.otlp("HEADERS") {
        list.parse(|list| headers::add_list(&mut headers, &list))?;
    }
    for (index, entry) in options.headers.iter().enumerate() {
        headers::add_flag(&mut headers, index + 1, entry)
            .map_err(|invalid| ConfigError::new("--header", invalid))?;
    }
    Ok(headers)
}

fn compression(options: &ExportOptions, env: Env<'_>) -> Result<Compression, ConfigError> {
    let parsed = setting(
        flag("--compression", options.compression),
        env.otlp("COMPRESSION"),
        Compression::default(),
        |text| match text.as_str() {
            "none" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            "zstd" => Ok(Compression::Zstd),
            _ => Err(Invalid::Compression(text)),
        },
    )?;
    Ok(parsed.value)
}

fn batch_limits(
    options: &ExportOptions,
    env: Env<'_>,
    queue: usize,
) -> Result<BatchLimits, ConfigError> {
    let spans = setting(
        flag("--batch-spans", options.batch_spans),
        env.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        BatchLimits::DEFAULT_SPANS,
        number,
    )?;
    let bytes = setting(
        flag("--batch-bytes", options.batch_bytes),
        None,
        BatchLimits::DEFAULT_BYTES,
        number,
    )?;
    let delay = setting(
        flag("--batch-delay", options.batch_delay),
        env.get("OTEL_BSP_SCHEDULE_DELAY"),
        BatchLimits::DEFAULT_DELAY,
        millis,
    )?;
    BatchLimits::new(spans.value.min(queue), bytes.value, delay.value).map_err(|error| {
        let origin = match error {
            InvalidBatchLimits::NoSpans => spans.origin,
            InvalidBatchLimits::NoBytes => bytes.origin,
        };
        ConfigError::new(origin, Invalid::Zero)
    })
}

fn flag<T>(name: &str, value: Option<T>) -> Option<Setting<T>> {
    value.map(|value| Setting::new(name, value))
}

/// The flag, or else the variable, or else the default.
fn setting<T>(
    flag: Option<Setting<T>>,
    variable: Option<Setting<String>>,
    default: T,
    parse: impl FnOnce(String) -> Result<T, Invalid>,
) -> Result<Setting<T>, ConfigError> {
    match (flag, variable) {
        (Some(flag), _) => Ok(flag),
        (None, Some(variable)) => variable.parse(parse),
        (None, None) => Ok(Setting::new("default", default)),
    }
}

/// As [`setting`], but not zero.
fn positive<T: Default + PartialEq>(
    flag: Option<Setting<T>>,
    variable: Option<Setting<String>>,
    default: T,
    parse: impl FnOnce(String) -> Result<T, Invalid>,
) -> Result<T, ConfigError> {
    let nonzero = |value| if value == T::default() { Err(Invalid::Zero) } else { Ok(value) };
    Ok(setting(flag, variable, default, parse)?.parse(nonzero)?.value)
}

#[cfg(test)]
mod tests;
