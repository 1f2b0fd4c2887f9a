//! The receiver of application spans, from its clients to the backend.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod forward;
mod join;
mod security;

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use upspan::export::{Backoff, ExportConfig, ExportOptions, ExportSummary, Exporter, RetryPolicy};
use upspan::join::SharedIndex;
use upspan::listen::ListenAddress;
use upspan::receiver::{ReceiveOptions, ReceiverConfig, ReceiverTotals, SpanReceiver};
use upspan_tests::spans::envelope;

/// Enough for what must happen, and reached only by tests that fail.
const LONG: Duration = Duration::from_secs(30);

/// A receiver and the exporter behind it.
struct Agent {
    receiver: SpanReceiver,
    exporter: Exporter,
    index: SharedIndex,
}

fn on_loopback() -> ReceiveOptions {
    ReceiveOptions { receive: Some("127.0.0.1:0".to_owned()), ..ReceiveOptions::default() }
}

impl Agent {
    fn start(receive: &ReceiveOptions, export: ExportOptions) -> Self {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(20)).unwrap();
        let config = ExportConfig::resolve(&export, &|_| None).unwrap().unwrap();
        let config = config.with_retry(RetryPolicy::new(backoff, LONG));
        let exporter = Exporter::start(&config, envelope()).unwrap();
        let listening = ReceiverConfig::resolve(receive).unwrap().unwrap().listen().unwrap();
        let index = SharedIndex::new(8 << 20, Duration::from_secs(3600));
        let receiver = listening.serve(exporter.sender(), index.clone()).unwrap();
        Self { receiver, exporter, index }
    }

    /// With default settings, to this backend.
    fn to(endpoint: String) -> Self {
        let export = ExportOptions { endpoint: Some(endpoint), ..ExportOptions::default() };
        Self::start(&on_loopback(), export)
    }

    fn endpoint(&self) -> String {
        match self.receiver.address() {
            ListenAddress::Tcp(address) => format!("http://{address}"),
            unix @ ListenAddress::Unix(_) => unix.to_string(),
        }
    }

    /// Ends both, and says what they did.
    async fn end(self) -> (ReceiverTotals, ExportSummary) {
        let received = self.receiver.stop().await;
        let exported = self.exporter.shutdown(LONG).await;
        assert_eq!(exported.forwarded.pending(), 0);
        assert_eq!(exported.forwarded.accepted, received.spans);
        (received, exported)
    }
}

/// A request with so many spans.
fn request(spans: usize) -> ExportTraceServiceRequest {
    let span = |number: usize| Span {
        trace_id: vec![1; 16],
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        name: number.to_string(),
        ..Span::default()
    };
    let spans = (0..spans).map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn encoded(spans: usize) -> Bytes {
    request(spans).encode_to_vec().into()
}
