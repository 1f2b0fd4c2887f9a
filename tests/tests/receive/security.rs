//! Who is let in.

use std::os::unix::fs::PermissionsExt;

use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use upspan_tests::pki::Authority;
use upspan_tests::raw::{RawBackend, RawClient};

use super::*;

fn start(receive: &ReceiveOptions, backend: &RawBackend) -> Agent {
    let export = ExportOptions { endpoint: Some(backend.endpoint()), ..ExportOptions::default() };
    Agent::start(receive, export)
}

#[tokio::test]
async fn only_the_token_opens() {
    let backend = RawBackend::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "a-rather-long-secret\n").unwrap();
    let receive = ReceiveOptions { receive_token_file: Some(file), ..on_loopback() };
    let agent = start(&receive, &backend);
    for token in [None, Some("wrong".to_owned())] {
        let client = RawClient { token, ..RawClient::to(&agent.endpoint()) };
        let status = client.export(encoded(1)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let token = Some("a-rather-long-secret".to_owned());
    let client = RawClient { token, ..RawClient::to(&agent.endpoint()) };
    client.export(encoded(1)).await.unwrap();
    let (received, _) = agent.end().await;
    assert_eq!((received.spans, received.refused["unauthenticated"]), (1, 2));
}

#[tokio::test]
async fn a_certificate_opens_where_one_is_wanted() {
    let backend = RawBackend::start();
    let authority = Authority::new();
    let own = authority.issue("localhost");
    let receive = ReceiveOptions {
        receive_certificate: Some(own.certificate_file),
        receive_key: Some(own.key_file),
        receive_client_ca: Some(authority.file()),
        ..on_loopback()
    };
    let agent = start(&receive, &backend);
    let ListenAddress::Tcp(address) = agent.receiver.address() else { panic!("no TCP") };
    let endpoint = format!("https://localhost:{}", address.port());
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.certificate()));
    let client = |tls| {
        let endpoint = Endpoint::from_shared(endpoint.clone()).unwrap().tls_config(tls).unwrap();
        RawClient::new(&endpoint)
    };
    let stranger = Authority::new().issue("application");
    let stranger = Identity::from_pem(stranger.certificate, stranger.key);
    let application = authority.issue("application");
    let application = Identity::from_pem(application.certificate, application.key);

    assert!(client(tls.clone()).export(encoded(1)).await.is_err());
    assert!(client(tls.clone().identity(stranger)).export(encoded(1)).await.is_err());
    assert!(RawClient::to(&agent.endpoint()).export(encoded(1)).await.is_err(), "without TLS");
    client(tls.identity(application)).export(encoded(1)).await.unwrap();
    let (received, _) = agent.end().await;
    assert_eq!(received.spans, 1);
}

#[tokio::test]
async fn a_unix_socket_has_its_permissions_and_goes_with_the_agent() {
    let mut backend = RawBackend::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.sock");
    let receive = |mode: Option<&str>| ReceiveOptions {
        receive: Some(format!("unix:{}", path.display())),
        receive_socket_mode: mode.map(str::to_owned),
        ..ReceiveOptions::default()
    };
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;

    let agent = start(&receive(None), &backend);
    assert_eq!(mode(), 0o600);
    let second = ReceiverConfig::resolve(&receive(None)).unwrap().unwrap().listen();
    assert!(second.unwrap_err().to_string().contains("in use"));
    RawClient::to(&agent.endpoint()).export(encoded(1)).await.unwrap();
    assert_eq!(backend.taken().await, encoded(1));
    agent.end().await;

    // As an agent that was killed leaves it.
    let _ = std::fs::remove_file(&path);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let agent = start(&receive(Some("660")), &backend);
    assert_eq!(mode(), 0o660);
    RawClient::to(&agent.endpoint()).export(encoded(2)).await.unwrap();
    agent.end().await;

    std::fs::write(dir.path().join("file"), "").unwrap();
    let file = ReceiveOptions {
        receive: Some(format!("unix:{}", dir.path().join("file").display())),
        ..ReceiveOptions::default()
    };
    let refused = ReceiverConfig::resolve(&file).unwrap().unwrap().listen();
    assert!(refused.is_err(), "a file is not overwritten");
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let backend = RawBackend::start();
    let receive = ReceiveOptions { receive_connections: Some(1), ..on_loopback() };
    let agent = start(&receive, &backend);
    let first = RawClient::to(&agent.endpoint());
    first.export(encoded(1)).await.unwrap();
    let second = RawClient::to(&agent.endpoint());
    let waiting = tokio::spawn(async move { second.export(encoded(2)).await });
    // Nobody else is served while the one connection is there.
    for _ in 0..20 {
        first.export(encoded(1)).await.unwrap();
    }
    assert!(!waiting.is_finished());
    drop(first);
    waiting.await.unwrap().unwrap();
    let (received, _) = agent.end().await;
    assert_eq!(received.spans, 23);
}
