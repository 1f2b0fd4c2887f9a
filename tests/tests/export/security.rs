//! TLS, both ways.

use upspan_tests::backend::{Backend, Listen, Reply};
use upspan_tests::pki::Authority;

use super::*;

fn https(backend: &Backend) -> ExportOptions {
    options(format!("https://localhost:{}", backend.address().port()))
}

#[tokio::test]
async fn the_right_authority_is_trusted() {
    let authority = Authority::new();
    let listen = Listen::default().tls(&authority.issue("localhost"));
    let backend = Backend::listen(listen, |_| Reply::Accept);
    let mut options = https(&backend);
    options.ca_certificate = Some(authority.file());
    let (totals, problem) = export(&options).await;
    assert_eq!(totals.delivered, 10, "{problem}");
}

#[tokio::test]
async fn the_wrong_authority_is_not() {
    let listen = Listen::default().tls(&Authority::new().issue("localhost"));
    let backend = Backend::listen(listen, |_| Reply::Accept);
    let stranger = Authority::new();
    let mut options = https(&backend);
    options.ca_certificate = Some(stranger.file());
    let (totals, problem) = export(&options).await;
    assert_eq!((totals.failed["tls"], totals.retries), (10, 0));
    assert!(problem.contains("certificate"), "{problem}");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_not() {
    let authority = Authority::new();
    let listen = Listen::default().tls(&authority.issue("elsewhere"));
    let backend = Backend::listen(listen, |_| Reply::Accept);
    let mut options = https(&backend);
    options.ca_certificate = Some(authority.file());
    let (totals, problem) = export(&options).await;
    assert_eq!((totals.failed["tls"], totals.retries), (10, 0));
    assert!(problem.contains("localhost"), "{problem}");
}

#[tokio::test]
async fn tls_to_a_plain_backend_is_said() {
    let authority = Authority::new();
    let backend = Backend::start(|_| Reply::Accept);
    let mut options = https(&backend);
    options.ca_certificate = Some(authority.file());
    let (totals, problem) = export(&options).await;
    assert_eq!(totals.failed["tls"], 10, "{problem}");
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let authority = Authority::new();
    let listen = Listen::default()
        .tls(&authority.issue("localhost"))
        .client_authority(&authority.certificate());
    let backend = Backend::listen(listen, |_| Reply::Accept);
    let client = authority.issue("agent");
    let mut options = https(&backend);
    options.ca_certificate = Some(authority.file());
    options.client_certificate = Some(client.certificate_file);
    options.client_key = Some(client.key_file);
    let (totals, problem) = export(&options).await;
    assert_eq!(totals.delivered, 10, "{problem}");
}

/// In TLS 1.3 the backend looks at the client's certificate after the client's handshake is done, so
/// that its alert competes with the first request for being noticed: a retry or two may pass.
#[tokio::test]
async fn a_client_without_certificate_is_sent_away() {
    let authority = Authority::new();
    let listen = Listen::default()
        .tls(&authority.issue("localhost"))
        .client_authority(&authority.certificate());
    let backend = Backend::listen(listen, |_| Reply::Accept);
    let mut options = https(&backend);
    options.ca_certificate = Some(authority.file());
    let (totals, problem) = export(&options).await;
    assert_eq!(totals.failed["tls"], 10, "{problem}");
}
