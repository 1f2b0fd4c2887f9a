//! Spans of applications per second of CPU: received, scanned, indexed and forwarded by one thread.
//!
//! Clients and backend have threads of their own, whose time does not count.

#[path = "whole/null_server.rs"]
mod null_server;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use null_server::NullServer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;
use tonic::Code;
use upspan::export::{ExportConfig, ExportOptions, Exporter};
use upspan::join::{JoinOptions, SharedIndex};
use upspan::receiver::{ReceiveOptions, ReceiverConfig};
use upspan_tests::raw::RawClient;
use upspan_tests::spans::envelope;

/// Spans in a request, as SDKs send them.
const BATCH: usize = 512;
const REQUESTS: usize = 4000;
/// Applications that send at a time.
const CLIENTS: usize = 8;

/// What the thread that receives has done.
struct Done {
    cpu: Duration,
    delivered: u64,
    indexed: u64,
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// A request of an HTTP service: a third of the spans each of a server, of a client, and internal.
fn request(number: usize) -> Bytes {
    let text = |text: &str| Value::StringValue(text.to_owned());
    let span = |index: usize| Span {
        trace_id: ((number * BATCH + index + 1) as u128).to_be_bytes().to_vec(),
        span_id: (index as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: vec![3; 8],
        name: "GET /items/{id}".to_owned(),
        kind: [1, 2, 3][index % 3],
        start_time_unix_nano: 1_700_000_000_000_000_000 + index as u64,
        end_time_unix_nano: 1_700_000_000_500_000_000 + index as u64,
        attributes: vec![
            attribute("http.request.method", text("GET")),
            attribute("http.response.status_code", Value::IntValue(200)),
            attribute("http.route", text("/items/{id}")),
            attribute("url.full", text("http://10.244.1.7:8080/items/7?verbose=true")),
            attribute("user_agent.original", text("python-httpx/0.28.1")),
            attribute("network.peer.address", text("10.244.3.9")),
            attribute("network.peer.port", Value::IntValue(30_000 + (index as i64 % 30_000))),
            attribute("network.protocol.version", text("1.1")),
        ],
        ..Span::default()
    };
    let scope_spans =
        vec![ScopeSpans { spans: (0..BATCH).map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Receives and forwards until it is told to stop.
fn agent(
    backend: String,
    address: &mpsc::Sender<String>,
    stop: oneshot::Receiver<()>,
) -> anyhow::Result<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options = ExportOptions { endpoint: Some(backend), ..ExportOptions::default() };
        let config = ExportConfig::resolve(&options, &|_| None)?.context("an endpoint")?;
        let exporter = Exporter::start(&config, envelope())?;
        let index = SharedIndex::new(JoinOptions::DEFAULT_INDEX_BYTES, Duration::from_secs(20));
        let options =
            ReceiveOptions { receive: Some("127.0.0.1:0".to_owned()), ..ReceiveOptions::default() };
        let listening = ReceiverConfig::resolve(&options)?.context("an address")?.listen()?;
        let receiver = listening.serve(exporter.sender(), index.clone())?;
        address.send(format!("http://{}", receiver.address()))?;
        let before = cpu_time();
        stop.await?;
        receiver.stop().await;
        let exported = exporter.shutdown(Duration::from_secs(30)).await;
        let counts = index.counts();
        Ok(Done {
            cpu: cpu_time() - before,
            delivered: exported.forwarded.delivered,
            indexed: counts.indexed,
        })
    })
}

/// Sends its share of the requests, again where it is told to come again.
async fn send(endpoint: String, share: usize) -> anyhow::Result<()> {
    let client = RawClient::to(&endpoint);
    for number in (share..REQUESTS).step_by(CLIENTS) {
        let request = request(number);
        while let Err(status) = client.export(request.clone()).await {
            anyhow::ensure!(status.code() == Code::Unavailable, "{status}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let backend = NullServer::start();
    let (tell, address) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let url = backend.url();
    let agent = thread::spawn(move || agent(url, &tell, stopped));
    let endpoint = address.recv().context("the receiver has not started")?;
    let started = Instant::now();
    let clients = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    clients.block_on(async {
        let mut sending = tokio::task::JoinSet::new();
        for share in 0..CLIENTS {
            sending.spawn(send(endpoint.clone(), share));
        }
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        anyhow::Ok(())
    })?;
    let took = started.elapsed();
    let _gone = stop.send(());
    let Done { cpu, delivered, indexed } = agent.join().ok().context("no panic")??;
    let spans = (REQUESTS * BATCH) as u64;
    anyhow::ensure!(delivered == spans, "{delivered} of {spans} spans arrived");
    let per_second = |time: Duration| spans as f64 / time.as_secs_f64();
    println!(
        "{spans} spans of {} bytes received, indexed ({indexed}) and forwarded: {:.0} a second of \
         CPU, {:.0} a second in all with clients and backend",
        backend.bytes() / spans,
        per_second(cpu),
        per_second(took),
    );
    Ok(())
}
