//! Who gets in, and what everyone who does can learn.

use std::os::unix::fs::MetadataExt;

use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use upspan_proto::v1::ServerStatusRequest;
use upspan_tests::pki::Authority;

use super::*;

async fn channel(served: &Served) -> Channel {
    let path = served.directory.path().join("api.sock");
    Endpoint::from_shared(format!("unix://{}", path.display())).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_served() {
    let (served, _recorder) = Served::new(1);
    let mut client = HealthClient::new(channel(&served).await);
    for service in ["", "upspan.v1.Observer"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = client.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services() {
    let (served, _recorder) = Served::new(1);
    let mut client = ServerReflectionClient::new(channel(&served).await);
    let ask =
        |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("upspan.v1.Observer".to_owned())),
    ];
    let stream = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap();
    let mut stream = stream.into_inner();
    let mut answer = async || stream.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer().await else { panic!() };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["upspan.v1.Observer", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|listed| listed == name), "{names:?}");
    }
    let MessageResponse::FileDescriptorResponse(file) = answer().await else { panic!() };
    assert!(!file.file_descriptor_proto.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_for_its_owner_and_group() {
    let (served, recorder) = Served::new(1);
    let path = served.directory.path().join("api.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
    drop(recorder);
    served.server.shutdown().await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_although_a_client_does_not() {
    let (served, recorder) = Served::new(1);
    let mut client = served.client().await;
    let follow = GetUpcallsRequest { follow: true, ..GetUpcallsRequest::default() };
    let _stalled = client.get_upcalls(follow).await.unwrap();
    timeout(PATIENCE, served.server.shutdown()).await.unwrap();
    drop(recorder);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_with_the_token_get_in() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, token).unwrap();
        Some(path)
    };
    let (right, wrong) = (file("right", "0123456789abcdef"), file("wrong", "0123456789abcdee"));
    let (server, _recorder) =
        start(&ListenOptions { api_token_file: right.clone(), ..options("127.0.0.1:0") });
    for (token_file, expected) in
        [(right, Code::Ok), (wrong, Code::Unauthenticated), (None, Code::Unauthenticated)]
    {
        let server = Some(url(server.address()));
        let options = ClientOptions { server, token_file, ..ClientOptions::default() };
        let mut client = options.connect().await.unwrap();
        let answer = client.server_status(ServerStatusRequest {}).await;
        let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_with_a_certificate_get_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (identity, known) = (authority.issue("localhost"), authority.issue("client"));
    let unknown = stranger.issue("client");
    let (server, _recorder) = start(&ListenOptions {
        api_certificate: Some(identity.certificate_file.clone()),
        api_key: Some(identity.key_file.clone()),
        api_client_ca: Some(authority.file()),
        ..options("127.0.0.1:0")
    });
    let port = server.address().to_string().rsplit_once(':').unwrap().1.to_owned();
    for (credentials, gets_in) in [(Some(&known), true), (Some(&unknown), false), (None, false)] {
        let options = ClientOptions {
            server: Some(format!("https://localhost:{port}").parse().unwrap()),
            ca_certificate: Some(authority.file()),
            client_certificate: credentials.map(|c| c.certificate_file.clone()),
            client_key: credentials.map(|c| c.key_file.clone()),
            token_file: None,
        };
        // In TLS 1.3, a client learns only with the first answer that it is not wanted.
        let answered = match options.connect().await {
            Ok(mut client) => client.server_status(ServerStatusRequest {}).await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(answered, gets_in);
    }
}
