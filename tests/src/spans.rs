//! Spans to export, and their names again on the other side.

use bytes::BytesMut;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
use prost::Message;
use upspan::trace::{EncodedSpans, Envelope, Resource};

/// Spans named by these numbers.
pub fn spans(numbers: impl IntoIterator<Item = usize>) -> EncodedSpans {
    let span = |number: usize| Span {
        trace_id: vec![1; 16],
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        name: number.to_string(),
        ..Span::default()
    };
    let scope =
        ScopeSpans { spans: numbers.into_iter().map(span).collect(), ..ScopeSpans::default() };
    let mut bytes = BytesMut::new();
    scope.encode(&mut bytes).expect("memory");
    EncodedSpans { bytes: bytes.freeze(), spans: scope.spans.len() }
}

/// The numbers of the spans in a request, in its order.
pub fn numbers(request: &ExportTraceServiceRequest) -> Vec<usize> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    spans.map(|span| span.name.parse().expect("a number")).collect()
}

/// An envelope with nothing but defaults.
pub fn envelope() -> Envelope {
    Envelope::new(&Resource::from_env(None, |_| None).expect("no variable is malformed"))
}
