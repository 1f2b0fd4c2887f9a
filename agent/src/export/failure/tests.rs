use std::io;

use bytes::Bytes;
use proptest::prelude::*;
use tonic_types::ErrorDetails;

use super::*;

fn answered(code: Code) -> Failure {
    Failure::from(Status::new(code, "no"))
}

/// A status as tonic makes it of a transport's error.
fn unanswered(error: impl Error + Send + Sync + 'static) -> Failure {
    #[derive(Debug, thiserror::Error)]
    #[error("transport error")]
    struct Transport(#[source] Box<dyn Error + Send + Sync>);
    Failure::from(Status::from_error(Box::new(Transport(Box::new(error)))))
}

fn with_retry_info(code: Code, delay: Option<Duration>) -> Failure {
    let mut details = ErrorDetails::new();
    details.set_retry_info(delay);
    Failure::from(Status::with_error_details(code, "later", details))
}

#[test]
fn the_specification_says_which_answers_are_retried() {
    let retried = [
        Code::Cancelled,
        Code::DeadlineExceeded,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unavailable,
        Code::DataLoss,
    ];
    for code in (1..17).map(Code::from_i32) {
        let failure = answered(code);
        let expected = if retried.contains(&code) { Retry::Backoff } else { Retry::Never };
        assert_eq!(failure.retry, expected, "{code:?}");
        assert_eq!(failure.reason, FailureReason::Status(code));
        assert_eq!(failure.message, "no");
    }
}

#[test]
fn exhaustion_is_retried_only_when_the_backend_says_when() {
    let code = Code::ResourceExhausted;
    let delay = Duration::from_millis(1500);
    assert_eq!(answered(code).retry, Retry::Never);
    assert_eq!(with_retry_info(code, Some(delay)).retry, Retry::After(delay));
    assert_eq!(with_retry_info(code, None).retry, Retry::Backoff);
}

#[test]
fn retry_info_delays_other_retries_and_permits_no_others() {
    let delay = Duration::from_secs(2);
    assert_eq!(with_retry_info(Code::Unavailable, Some(delay)).retry, Retry::After(delay));
    assert_eq!(with_retry_info(Code::Internal, Some(delay)).retry, Retry::Never);
}

#[test]
fn details_that_are_no_protobuf_are_no_retry_info() {
    let details = Bytes::from_static(b"\xff\xff\xff");
    let failure = Failure::from(Status::with_details(Code::ResourceExhausted, "", details));
    assert_eq!(failure.retry, Retry::Never);
    assert_eq!(failure.message, "no message");
}

#[test]
fn a_broken_connection_is_retried_whatever_code_tonic_makes_of_it() {
    let failure = unanswered(io::Error::from(io::ErrorKind::ConnectionReset));
    assert_eq!((failure.reason, failure.retry), (FailureReason::Unreachable, Retry::Backoff));
    assert_eq!(failure.message, "transport error: connection reset");

    let graceful = h2::Error::from(h2::Reason::NO_ERROR);
    let failure = unanswered(graceful);
    assert_eq!((failure.reason, failure.retry), (FailureReason::Unreachable, Retry::Backoff));
}

#[test]
fn a_certificate_that_is_not_trusted_now_will_not_be_later() {
    let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let failure = unanswered(io::Error::new(io::ErrorKind::InvalidData, tls));
    assert_eq!((failure.reason, failure.retry), (FailureReason::Tls, Retry::Never));
    assert!(failure.message.contains("UnknownIssuer"), "{}", failure.message);

    let text = io::Error::new(io::ErrorKind::InvalidData, "received fatal alert: UnknownCA");
    assert_eq!(unanswered(text).reason, FailureReason::Tls);

    let cut = rustls::Error::AlertReceived(AlertDescription::CloseNotify);
    let cut = unanswered(io::Error::new(io::ErrorKind::InvalidData, cut));
    assert_eq!((cut.reason, cut.retry), (FailureReason::Unreachable, Retry::Backoff));
}

#[test]
fn every_reason_says_what_to_do() {
    for reason in FailureReason::all() {
        assert!(reason.advice().ends_with('.'), "{reason}");
    }
}

proptest! {
    #[test]
    fn any_details_are_survived(code in 0_i32..20, details: Vec<u8>) {
        let status = Status::with_details(Code::from_i32(code), "", details.into());
        let _ = Failure::from(status);
    }
}
