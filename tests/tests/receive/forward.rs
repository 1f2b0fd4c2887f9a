//! What goes in comes out, or the application knows of it.

use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use upspan_tests::backend::{Backend, Reply};
use upspan_tests::raw::{RawBackend, RawClient};

use super::*;

/// The fields of a version that does not exist yet, behind those that do.
fn with_unknown_fields(mut bytes: Vec<u8>) -> Bytes {
    encode_key(100, WireType::LengthDelimited, &mut bytes);
    encode_varint(3, &mut bytes);
    bytes.extend_from_slice(b"new");
    // A length that is longer than it need be, which decoding and encoding would shorten.
    encode_key(101, WireType::LengthDelimited, &mut bytes);
    bytes.extend_from_slice(&[0x81, 0x00, 7]);
    bytes.into()
}

#[tokio::test]
async fn requests_arrive_byte_for_byte() {
    let mut backend = RawBackend::start();
    let agent = Agent::to(backend.endpoint());
    let sent = with_unknown_fields(request(3).encode_to_vec());
    for compression in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let client = RawClient { compression, ..RawClient::to(&agent.endpoint()) };
        assert_eq!(client.export(sent.clone()).await.unwrap(), Bytes::new());
        assert_eq!(backend.taken().await, sent);
    }
    let (received, exported) = agent.end().await;
    assert_eq!((received.requests, received.spans), (3, 9));
    assert!(received.refused.is_empty());
    assert_eq!(exported.forwarded.delivered, 9);
    assert_eq!(exported.totals.accepted, 0, "upcalls have an account of their own");
}

#[tokio::test]
async fn what_the_backend_did_not_take_is_sent_again() {
    let mut backend = Backend::start(|number| match number {
        0 | 1 => Reply::Fail(Status::unavailable("starting")),
        2 => Reply::Accept,
        _ => Reply::Reject(1, "too old"),
    });
    let agent = Agent::to(format!("http://{}", backend.address()));
    let client = RawClient::to(&agent.endpoint());
    client.export(encoded(3)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(backend.taken().await.request, request(3));
    }
    client.export(encoded(3)).await.unwrap();
    backend.taken().await;
    let (_, exported) = agent.end().await;
    let totals = exported.forwarded;
    assert_eq!((totals.delivered, totals.rejected, totals.retries), (5, 1, 2));
}

#[tokio::test]
async fn garbage_is_refused_and_its_connection_goes_on() {
    let mut backend = RawBackend::start();
    let agent = Agent::to(backend.endpoint());
    let client = RawClient::to(&agent.endpoint());
    let cut = encoded(3).slice(..20);
    for garbage in [Bytes::from_static(b"\xff\xff\xff"), cut, Bytes::from_static(b"GET / HTTP")] {
        let status = client.export(garbage).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    client.export(encoded(1)).await.unwrap();
    assert_eq!(backend.taken().await, encoded(1));
    let (received, _) = agent.end().await;
    assert_eq!((received.spans, received.refused["malformed"]), (1, 3));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_for_good() {
    let backend = RawBackend::start();
    let receive = ReceiveOptions { receive_max_bytes: Some(1000), ..on_loopback() };
    let export = ExportOptions { endpoint: Some(backend.endpoint()), ..ExportOptions::default() };
    let agent = Agent::start(&receive, export);
    for compression in [None, Some(CompressionEncoding::Zstd)] {
        // Compressed, it would be small enough.
        let client = RawClient { compression, ..RawClient::to(&agent.endpoint()) };
        let status = client.export(vec![0; 4000].into()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.get_details_retry_info().is_none(), "it would be too large again");
        assert!(status.message().contains("send smaller batches"));
    }
    let (received, _) = agent.end().await;
    assert_eq!((received.requests, received.refused["too_large"]), (0, 2));
}

#[tokio::test]
async fn a_full_queue_sends_applications_away_and_loses_nothing() {
    let backend = Backend::start(|_| Reply::Hold);
    let export = ExportOptions {
        endpoint: Some(format!("http://{}", backend.address())),
        queue_spans: Some(10),
        ..ExportOptions::default()
    };
    let agent = Agent::start(&on_loopback(), export);
    let client = RawClient::to(&agent.endpoint());
    client.export(encoded(6)).await.unwrap();
    client.export(encoded(4)).await.unwrap();
    let status = client.export(encoded(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let again = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(again, Some(Duration::from_secs(1)));
    // The room of upcalls is another.
    agent.exporter.sender().offer(upspan_tests::spans::spans(0..10));

    backend.release(3);
    let (received, exported) = agent.end().await;
    assert_eq!((received.spans, received.refused["busy"]), (10, 1));
    assert_eq!((exported.forwarded.delivered, exported.totals.delivered), (10, 10));
}

#[tokio::test]
async fn other_services_and_an_end_are_said() {
    let backend = RawBackend::start();
    let agent = Agent::to(backend.endpoint());
    let metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    let client = RawClient { path: metrics, ..RawClient::to(&agent.endpoint()) };
    assert_eq!(client.export(Bytes::new()).await.unwrap_err().code(), Code::Unimplemented);
    let endpoint = agent.endpoint();
    agent.end().await;
    let client = RawClient::to(&endpoint);
    assert_eq!(client.export(encoded(1)).await.unwrap_err().code(), Code::Unavailable);
}
