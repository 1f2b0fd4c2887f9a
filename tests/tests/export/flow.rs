//! What is sent, how much of it at a time, and what becomes of it in the end.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use upspan::export::{Closed, Compression, Receiver};
use upspan_tests::backend::{Backend, Listen, Reply};
use upspan_tests::spans::numbers;

use super::*;

fn http(backend: &Backend) -> ExportOptions {
    options(format!("http://{}", backend.address()))
}

/// Whether a future is ready when first asked.
async fn is_ready(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

#[tokio::test]
async fn headers_arrive_with_who_we_are() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let mut options = http(&backend);
    options.headers = vec!["Authorization=Basic dXNlcjpwYXNz".to_owned(), "x-scope=a,b".to_owned()];
    export(&options).await;
    let headers = backend.taken().await.headers;
    assert_eq!(headers.get("authorization").unwrap(), "Basic dXNlcjpwYXNz");
    assert_eq!(headers.get("x-scope").unwrap(), "a,b");
    assert!(headers.get("user-agent").unwrap().to_str().unwrap().starts_with("upspan/"));
    assert!(headers.contains_key("grpc-timeout"));
}

#[tokio::test]
async fn each_compression_arrives_whole() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mut backend = Backend::start(|_| Reply::Accept);
        let mut options = http(&backend);
        options.compression = Some(compression);
        let (totals, problem) = export(&options).await;
        assert_eq!(totals.delivered, 10, "{compression:?}: {problem}");
        let taken = backend.taken().await;
        assert_eq!(numbers(&taken.request), (0..10).collect::<Vec<_>>());
        let encoding = taken.headers.get("grpc-encoding").map(|value| value.to_str().unwrap());
        let expected = match compression {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        };
        assert_eq!(encoding, expected);
    }
}

#[tokio::test]
async fn a_backend_killed_and_restarted_loses_nothing_that_it_had_not_acknowledged() {
    let mut first = Backend::start(|n| if n < 5 { Reply::Accept } else { Reply::Hold });
    let exporter = start(&http(&first));
    let sender = exporter.sender();
    let producer = tokio::spawn(async move {
        for batch in 0..100 {
            sender.send(spans(batch * 10..batch * 10 + 10)).await.unwrap();
        }
    });
    let mut arrived = BTreeSet::new();
    // Five acknowledged, and four in flight that never will be.
    for _ in 0..9 {
        arrived.extend(numbers(&first.taken().await.request));
    }
    let address = first.address();
    first.kill();

    let mut second = Backend::listen(Listen::on(address), |_| Reply::Accept);
    producer.await.unwrap();
    let summary = exporter.shutdown(LONG).await;
    for taken in second.rest() {
        arrived.extend(numbers(&taken.request));
    }
    assert_eq!(summary.totals.delivered, 1000);
    assert!(summary.totals.is_lossless());
    assert_eq!(arrived.len(), 1000);
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again() {
    let mut first = Backend::start(|_| Reply::Hold);
    let exporter = start(&http(&first));
    exporter.sender().send(spans(0..10)).await.unwrap();
    first.taken().await;
    let address = first.address();
    first.kill();
    let mut second = Backend::listen(Listen::on(address), |_| Reply::Accept);
    assert_eq!(numbers(&second.taken().await.request), (0..10).collect::<Vec<_>>());
    assert_eq!(exporter.shutdown(LONG).await.totals.delivered, 10);
}

#[tokio::test]
async fn a_full_queue_makes_the_producer_wait() {
    let mut backend = Backend::start(|_| Reply::Hold);
    let mut options = http(&backend);
    options.queue_spans = Some(30);
    options.export_concurrency = Some(2);
    let exporter = start(&options);
    let sender = exporter.sender();
    for batch in 0..3 {
        assert!(is_ready(sender.send(spans(batch * 10..batch * 10 + 10))).await);
    }
    assert!(!is_ready(sender.send(spans(0..1))).await, "in flight or queued, the room is taken");
    backend.taken().await;
    backend.taken().await;
    assert!(backend.rest().is_empty(), "no more in flight than allowed");

    backend.release(1);
    sender.send(spans(30..40)).await.unwrap();
    backend.release(3);
    let totals = exporter.shutdown(LONG).await.totals;
    assert_eq!(totals.delivered, 40);
    assert_eq!(totals.failed["shutdown"], 1, "the send that did not wait");
}

#[tokio::test]
async fn large_spans_take_more_room() {
    let backend = Backend::start(|_| Reply::Hold);
    let mut options = http(&backend);
    options.queue_spans = Some(100);
    let exporter = start(&options);
    let mut large = spans(0..1);
    large.bytes = vec![0; 90 << 10].into();
    let sender = exporter.sender();
    assert!(is_ready(sender.send(large)).await);
    assert!(is_ready(sender.send(spans(0..10))).await);
    assert!(!is_ready(sender.send(spans(0..1))).await);
    let _ = exporter.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_batch_larger_than_the_queue_goes_alone() {
    let backend = Backend::start(|_| Reply::Accept);
    let mut options = http(&backend);
    options.queue_spans = Some(5);
    let (totals, _) = export(&options).await;
    assert_eq!(totals.delivered, 10);
}

#[tokio::test]
async fn shutdown_delivers_what_it_can_and_counts_the_rest() {
    let mut backend = Backend::start(|n| if n == 0 { Reply::Accept } else { Reply::Hold });
    let mut options = http(&backend);
    options.export_concurrency = Some(1);
    options.queue_spans = Some(30);
    let exporter = start(&options);
    let sender = exporter.sender();
    for batch in 0..3 {
        sender.send(spans(batch * 10..batch * 10 + 10)).await.unwrap();
    }
    backend.taken().await;
    // The second is in flight, so the first is acknowledged.
    backend.taken().await;
    sender.send(spans(30..40)).await.unwrap();
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(spans(40..50)).await }
    });
    let account = exporter.account();
    while account.totals().accepted < 50 {
        tokio::task::yield_now().await;
    }

    let totals = exporter.shutdown(Duration::from_millis(20)).await.totals;
    assert_eq!(waiting.await.unwrap(), Err(Closed));
    assert_eq!(sender.send(spans(50..60)).await, Err(Closed));
    assert_eq!((totals.delivered, totals.failed["shutdown"], totals.pending()), (10, 40, 0));
    assert_eq!(account.totals().failed["shutdown"], 50);
}

#[tokio::test]
async fn shutdown_interrupts_retries() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let exporter = start(&options(format!("http://{nobody}")));
    exporter.sender().send(spans(0..10)).await.unwrap();
    while exporter.problems().is_empty() {
        tokio::task::yield_now().await;
    }
    let totals = exporter.shutdown(Duration::ZERO).await.totals;
    assert_eq!(totals.failed["shutdown"], 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thread_can_send_and_the_receiver_counts() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), move |request| {
        tell.send(numbers(&request)).unwrap();
    })
    .unwrap();
    let mut options = options(receiver.endpoint());
    options.queue_spans = Some(10);
    options.compression = Some(Compression::Gzip);
    let exporter = start(&options);
    let sender = exporter.sender();
    let producer = std::thread::spawn(move || {
        for batch in 0..100 {
            sender.blocking_send(spans(batch * 10..batch * 10 + 10)).unwrap();
        }
    });
    let mut arrived = BTreeSet::new();
    for _ in 0..100 {
        arrived.extend(told.recv().await.unwrap());
    }
    producer.join().unwrap();
    let totals = exporter.shutdown(LONG).await.totals;
    assert!(totals.is_lossless());
    assert_eq!(arrived, (0..1000).collect());
    let received = receiver.shutdown().await.unwrap();
    assert_eq!((received.requests, received.spans, received.traces), (100, 1000, 1000));
}
