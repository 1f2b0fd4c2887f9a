//! Why an export attempt failed, and whether the specification lets it be tried again.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use rustls::AlertDescription;
use serde::{Serialize, Serializer};
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt;

/// Why spans were not delivered. The text form is stable: it is a key of the JSON totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The backend answered with this gRPC status.
    Status(Code),
    /// No connection, or it broke before the answer: refused, reset, unknown host.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// One side does not trust the other's certificate, or they share no TLS version.
    Tls,
    /// The peer speaks something other than HTTP/2.
    NotGrpc,
    /// The exporter was shut down before their turn came, or before they were answered.
    Shutdown,
    /// The output file did not take them.
    Output,
    /// The queue was full when they came, and they could not wait.
    QueueFull,
}

impl FailureReason {
    const STATUSES: usize = 17;

    /// How many reasons there are, for tables.
    pub(crate) const COUNT: usize = Self::STATUSES + 7;

    /// Position in a table of [`FailureReason::COUNT`] entries.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Status(code) => code as usize,
            Self::Unreachable => Self::STATUSES,
            Self::Timeout => Self::STATUSES + 1,
            Self::Tls => Self::STATUSES + 2,
            Self::NotGrpc => Self::STATUSES + 3,
            Self::Shutdown => Self::STATUSES + 4,
            Self::Output => Self::STATUSES + 5,
            Self::QueueFull => Self::STATUSES + 6,
        }
    }

    /// All reasons, in the order of their [`index`](Self::index).
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..17).map(|code| Self::Status(Code::from_i32(code))).chain([
            Self::Unreachable,
            Self::Timeout,
            Self::Tls,
            Self::NotGrpc,
            Self::Shutdown,
            Self::Output,
            Self::QueueFull,
        ])
    }

    /// Its name in totals: lower case, or the gRPC spelling of a status code.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status(code) => code_name(code),
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::NotGrpc => "not_grpc",
            Self::Shutdown => "shutdown",
            Self::Output => "output",
            Self::QueueFull => "queue_full",
        }
    }

    /// What the operator can do about it, as a sentence.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "Check that the backend runs and that the endpoint names its host and its \
                 OTLP/gRPC port (usually 4317)."
            }
            Self::Timeout | Self::Status(Code::DeadlineExceeded) => {
                "Check the load of the backend, or allow it more time with \
                 OTEL_EXPORTER_OTLP_TIMEOUT."
            }
            Self::Tls => {
                "Check the CA certificate (OTEL_EXPORTER_OTLP_CERTIFICATE), the host name in the \
                 endpoint, and whether the backend wants a client certificate \
                 (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY)."
            }
            Self::NotGrpc => {
                "Point the endpoint at the backend's OTLP/gRPC port (usually 4317; 4318 is \
                 OTLP/HTTP), with https:// where it wants TLS."
            }
            Self::Status(Code::Unimplemented) => {
                "The endpoint is a gRPC server, but takes no OTLP traces, or not this \
                 compression: enable its OTLP trace receiver, or try \
                 OTEL_EXPORTER_OTLP_COMPRESSION=none."
            }
            Self::Status(Code::Unauthenticated | Code::PermissionDenied) => {
                "Check the credentials in OTEL_EXPORTER_OTLP_HEADERS."
            }
            Self::Status(Code::ResourceExhausted | Code::OutOfRange) => {
                "The backend limits rate or message size: raise its limits, or send less with \
                 OTEL_TRACES_SAMPLER or smaller batches."
            }
            Self::Status(_) => "See the log of the backend.",
            Self::Shutdown => "Allow more time to drain at shutdown.",
            Self::Output => "Free space, or write to another place.",
            Self::QueueFull => {
                "The backend takes spans more slowly than they come: check it, sample with \
                 OTEL_TRACES_SAMPLER, or allow a longer queue with OTEL_BSP_MAX_QUEUE_SIZE."
            }
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for FailureReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Spelling of `google.rpc.Code`.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Whether a failed request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It would fail again, or must not be repeated.
    Never,
    /// After a back-off of our own.
    Backoff,
    /// Not before the time that the backend asked for (`google.rpc.RetryInfo`).
    After(Duration),
}

/// One failed attempt to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: FailureReason,
    pub(crate) retry: Retry,
    /// What was said, by the backend or by the layer that failed.
    pub(crate) message: String,
}

impl Failure {
    /// No answer within `limit`.
    pub(crate) fn timeout(limit: Duration) -> Self {
        Self {
            reason: FailureReason::Timeout,
            retry: Retry::Backoff,
            message: format!("no answer within {limit:?}"),
        }
    }
}

impl From<Status> for Failure {
    /// Sorts a status by where it was made. Of those that the backend sent, the OTLP specification
    /// lists the ones to retry
    /// (<https://opentelemetry.io/docs/specs/otlp/#failures>). Those that tonic made here have a
    /// source; their code is tonic's guess (a reset connection is UNKNOWN, a graceful GOAWAY
    /// INTERNAL) and says nothing of the backend, which never answered.
    fn from(status: Status) -> Self {
        match status.source() {
            None => Self::answered(&status),
            Some(source) => Self::unanswered(source),
        }
    }
}

impl Failure {
    fn answered(status: &Status) -> Self {
        let asked_for = || status.get_details_retry_info().and_then(|info| info.retry_delay);
        let retry = match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Cancelled
            | Code::OutOfRange
            | Code::DataLoss => asked_for().map_or(Retry::Backoff, Retry::After),
            // Without RetryInfo, the limit that was hit is not one that time heals.
            Code::ResourceExhausted => match status.get_details_retry_info() {
                Some(info) => info.retry_delay.map_or(Retry::Backoff, Retry::After),
                None => Retry::Never,
            },
            _ => Retry::Never,
        };
        let message = match status.message() {
            "" => "no message".to_owned(),
            message => message.to_owned(),
        };
        Self { reason: FailureReason::Status(status.code()), retry, message }
    }

    fn unanswered(source: &(dyn Error + 'static)) -> Self {
        let (reason, retry) = chain(source)
            .find_map(decisive)
            .unwrap_or((FailureReason::Unreachable, Retry::Backoff));
        Self { reason, retry, message: describe(source) }
    }
}

/// The error itself and everything behind it. An [`std::io::Error`] hides a custom error (that is how
/// rustls hands its own through), so look into it, too.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match hidden {
            Some(hidden) => Some(hidden),
            None => error.source(),
        };
        Some(error)
    })
}

/// What an error in the chain tells for certain, if anything.
fn decisive(error: &(dyn Error + 'static)) -> Option<(FailureReason, Retry)> {
    if error.is::<TimeoutExpired>() {
        return Some((FailureReason::Timeout, Retry::Backoff));
    }
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return tls_mismatch(tls).then_some((FailureReason::Tls, Retry::Never));
    }
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        // Once there is a connection, h2 keeps only the text of what TLS says. Of all layers below
        // HTTP, TLS alone finds data invalid: this is the backend's alert about our certificate,
        // which comes after the handshake in TLS 1.3.
        let is_text = !io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        return (is_text && io.kind() == std::io::ErrorKind::InvalidData)
            .then_some((FailureReason::Tls, Retry::Never));
    }
    // h2 gave up on what the peer sent: it is no HTTP/2 server.
    let h2 = error.downcast_ref::<h2::Error>()?;
    (h2.is_go_away() && h2.is_library()).then_some((FailureReason::NotGrpc, Retry::Never))
}

/// Whether both sides will disagree again the next time. Everything else that TLS can fail with (a
/// record cut short, a corrupted one) is a connection that broke.
fn tls_mismatch(error: &rustls::Error) -> bool {
    use rustls::Error::{
        AlertReceived, InvalidCertificate, InvalidMessage, NoApplicationProtocol,
        NoCertificatesPresented, PeerIncompatible,
    };
    match error {
        AlertReceived(alert) => !matches!(
            alert,
            AlertDescription::CloseNotify
                | AlertDescription::UserCanceled
                | AlertDescription::InternalError
        ),
        // What a plaintext server answers to a ClientHello is an invalid message.
        InvalidCertificate(_)
        | InvalidMessage(_)
        | NoApplicationProtocol
        | NoCertificatesPresented
        | PeerIncompatible(_) => true,
        _ => false,
    }
}

/// The texts of the chain, outermost first. Many layers repeat what the next one says.
fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for error in chain(error) {
        let part = error.to_string();
        if text.contains(&part) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&part);
    }
    text
}

#[cfg(test)]
mod tests;
