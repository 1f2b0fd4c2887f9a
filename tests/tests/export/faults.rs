//! What can go wrong between us and the backend.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use upspan_tests::backend::{Backend, Listen, Reply};

use super::*;

fn http(backend: &Backend) -> ExportOptions {
    options(format!("http://{}", backend.address()))
}

async fn listener() -> (TcpListener, ExportOptions) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, options(endpoint))
}

#[tokio::test]
async fn refuses() {
    let (listener, mut options) = listener().await;
    drop(listener);
    options.retry_max_elapsed = Some(Duration::from_millis(50));
    let (totals, problem) = export(&options).await;
    assert_eq!(totals.failed["unreachable"], 10);
    assert!(problem.contains("Connection refused"), "{problem}");
}

#[tokio::test]
async fn resets_and_recovers() {
    let (listener, options) = listener().await;
    let address = listener.local_addr().unwrap();
    let exporter = start(&options);
    exporter.sender().send(spans(0..10)).await.unwrap();
    let (mut connection, _) = listener.accept().await.unwrap();
    connection.read_u8().await.unwrap();
    drop(listener);
    connection.set_zero_linger().unwrap();
    drop(connection);

    let mut backend = Backend::listen(Listen::on(address), |_| Reply::Accept);
    backend.taken().await;
    let summary = exporter.shutdown(LONG).await;
    assert_eq!(summary.totals.delivered, 10);
    assert!(summary.totals.retries > 0);
    assert_eq!(summary.problems[0].reason.unwrap().name(), "unreachable");
}

#[tokio::test]
async fn hangs_and_recovers() {
    let backend = Backend::start(|n| if n == 0 { Reply::Hold } else { Reply::Accept });
    let mut options = http(&backend);
    options.export_timeout = Some(Duration::from_millis(100));
    let (totals, problem) = export(&options).await;
    assert_eq!(totals.delivered, 10);
    assert!(totals.retries > 0);
    assert!(problem.contains("no answer within") || problem.contains("imeout"), "{problem}");
}

#[tokio::test]
async fn hangs_without_a_word() {
    let (_listener, mut options) = listener().await;
    options.export_timeout = Some(Duration::from_millis(20));
    options.retry_max_elapsed = Some(Duration::ZERO);
    let (totals, _) = export(&options).await;
    assert_eq!(totals.failed["timeout"], 10);
}

#[tokio::test]
async fn does_not_know_traces() {
    let mut backend =
        Backend::start(|_| Reply::Fail(Status::unimplemented("unknown service TraceService")));
    let (totals, problem) = export(&http(&backend)).await;
    assert_eq!(totals.failed["UNIMPLEMENTED"], 10);
    assert_eq!(totals.retries, 0);
    assert_eq!(problem, "unknown service TraceService");
    assert_eq!(backend.rest().len(), 1);
}

#[tokio::test]
async fn is_exhausted_for_good() {
    let mut backend = Backend::start(|_| Reply::Fail(Status::resource_exhausted("too large")));
    let (totals, _) = export(&http(&backend)).await;
    assert_eq!(totals.failed["RESOURCE_EXHAUSTED"], 10);
    assert_eq!(backend.rest().len(), 1);
}

#[tokio::test]
async fn is_exhausted_for_a_while() {
    let mut backend = Backend::start(|n| {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(5)));
        let status = Status::with_error_details(Code::ResourceExhausted, "slow down", details);
        if n == 0 { Reply::Fail(status) } else { Reply::Accept }
    });
    let (totals, problem) = export(&http(&backend)).await;
    assert_eq!((totals.delivered, totals.retries), (10, 1));
    assert_eq!(problem, "slow down");
    assert_eq!(backend.rest().len(), 2);
}

#[tokio::test]
async fn is_unavailable_twice() {
    let backend = Backend::start(|n| match n {
        0 | 1 => Reply::Fail(Status::unavailable("starting")),
        _ => Reply::Accept,
    });
    let (totals, _) = export(&http(&backend)).await;
    assert_eq!((totals.delivered, totals.retries), (10, 2));
}

#[tokio::test]
async fn takes_a_part() {
    let mut backend = Backend::start(|_| Reply::Reject(4, "four were too old"));
    let (totals, problem) = export(&http(&backend)).await;
    assert_eq!((totals.delivered, totals.rejected, totals.retries), (6, 4, 0));
    assert_eq!(problem, "four were too old");
    assert_eq!(backend.rest().len(), 1);
}

#[tokio::test]
async fn speaks_http_1() {
    let (listener, options) = listener().await;
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.read_u8().await.unwrap();
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        connection.read_to_end(&mut Vec::new()).await.ok();
    });
    let (totals, problem) = export(&options).await;
    assert_eq!(totals.failed["not_grpc"], 10, "{problem}");
    server.await.unwrap();
}

#[tokio::test]
async fn does_not_know_the_compression() {
    let backend = Backend::listen(Listen::default().plain_only(), |_| Reply::Accept);
    let mut options = http(&backend);
    options.compression = Some(upspan::export::Compression::Zstd);
    let (totals, problem) = export(&options).await;
    assert_eq!(totals.failed["UNIMPLEMENTED"], 10);
    assert!(problem.contains("zstd"), "{problem}");
}
