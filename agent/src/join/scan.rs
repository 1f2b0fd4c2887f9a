//! Finds the spans in a request that are about connections, without decoding it.

use std::net::IpAddr;

use opentelemetry::trace::{SpanId, TraceId};

use super::attributes::{self, Attributes};
use super::span::{AppSpan, Side, TimeRange};
use crate::protobuf::{Fields, Malformed};

const REQUEST_RESOURCE_SPANS: u32 = 1;
const RESOURCE_SPANS_RESOURCE: u32 = 1;
const RESOURCE_ATTRIBUTES: u32 = 1;
const RESOURCE_SPANS_SCOPE_SPANS: u32 = 2;
const SCOPE_SPANS_SPANS: u32 = 2;
const SPAN_TRACE_ID: u32 = 1;
const SPAN_SPAN_ID: u32 = 2;
const SPAN_PARENT_SPAN_ID: u32 = 4;
const SPAN_KIND: u32 = 6;
const SPAN_START_TIME: u32 = 7;
const SPAN_END_TIME: u32 = 8;
const SPAN_ATTRIBUTES: u32 = 9;

/// Values of `Span.SpanKind`.
const KIND_SERVER: u64 = 2;
const KIND_CLIENT: u64 = 3;
const KIND_PRODUCER: u64 = 4;
const KIND_CONSUMER: u64 = 5;

/// Calls `each` with every span of an `ExportTraceServiceRequest` that may be joined, and returns
/// how many spans there are in all.
///
/// # Errors
/// When it is no such request. `each` may have been called by then.
pub(crate) fn scan(request: &[u8], mut each: impl FnMut(AppSpan)) -> Result<usize, Malformed> {
    let mut spans = 0;
    for resource_spans in messages(request, REQUEST_RESOURCE_SPANS) {
        let resource_spans = resource_spans?;
        let pod = pod(resource_spans)?;
        for scope_spans in messages(resource_spans, RESOURCE_SPANS_SCOPE_SPANS) {
            for span in messages(scope_spans?, SCOPE_SPANS_SPANS) {
                spans += 1;
                if let Some(mut span) = read(span?)? {
                    if span.side == Side::Client {
                        span.client.address = span.client.address.or(pod);
                    }
                    each(span);
                }
            }
        }
    }
    Ok(spans)
}

/// The contents of this field in a message; the others are checked only to be fields.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.bytes()),
        Ok(_) => None,
        Err(malformed) => Some(Err(malformed)),
    })
}

/// The address of the pod that the spans come from, if the resource says it (`k8s.pod.ip`).
fn pod(resource_spans: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let mut pod = None;
    for resource in messages(resource_spans, RESOURCE_SPANS_RESOURCE) {
        for attribute in messages(resource?, RESOURCE_ATTRIBUTES) {
            pod = attributes::pod_address(attribute?)?.or(pod);
        }
    }
    Ok(pod)
}

/// `None` for a span that is about no connection, or whose ids or times are of no use.
fn read(span: &[u8]) -> Result<Option<AppSpan>, Malformed> {
    let (mut trace_id, mut span_id, mut parent) = (&[][..], &[][..], &[][..]);
    let (mut kind, mut time) = (0, TimeRange::default());
    let fields = Fields::new(span);
    for field in fields {
        let field = field?;
        match field.number {
            SPAN_TRACE_ID => trace_id = field.bytes()?,
            SPAN_SPAN_ID => span_id = field.bytes()?,
            SPAN_PARENT_SPAN_ID => parent = field.bytes()?,
            SPAN_KIND => kind = field.varint()?,
            SPAN_START_TIME => time.start = field.fixed64()?,
            SPAN_END_TIME => time.end = field.fixed64()?,
            _ => {}
        }
    }
    let side = match kind {
        KIND_CLIENT | KIND_PRODUCER | KIND_CONSUMER => Side::Client,
        KIND_SERVER => Side::Server,
        _ => return Ok(None),
    };
    let mut attributes = Attributes::default();
    for attribute in messages(span, SPAN_ATTRIBUTES) {
        attributes.add(attribute?)?;
    }
    let ids = trace_id.try_into().map(TraceId::from_bytes).ok().zip(span_id_of(span_id));
    let Some((trace_id, span_id)) = ids else { return Ok(None) };
    let is_valid = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
    let is_span = time.start != 0 && time.start <= time.end;
    let Some((transport, client, server)) = attributes.connection(side) else { return Ok(None) };
    let parent = span_id_of(parent).unwrap_or(SpanId::INVALID);
    let span = AppSpan { trace_id, span_id, parent, time, side, transport, client, server };
    // A client's span that knows no connection may be the parent of a server's that does.
    let is_known = side == Side::Client || span.key().is_some();
    Ok((is_valid && is_span && is_known).then_some(span))
}

fn span_id_of(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().map(SpanId::from_bytes).ok()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn span(kind: i32) -> Span {
        let value = |value| Some(AnyValue { value: Some(value) });
        let attribute =
            |key: &str, v| KeyValue { key: key.to_owned(), value: value(v), ..KeyValue::default() };
        Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: vec![3; 8],
            kind,
            start_time_unix_nano: 10,
            end_time_unix_nano: 20,
            attributes: vec![
                attribute("network.peer.address", Value::StringValue("10.0.0.1".to_owned())),
                attribute("network.peer.port", Value::IntValue(40_000)),
            ],
            ..Span::default()
        }
    }

    fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        ExportTraceServiceRequest { resource_spans }
    }

    fn scanned(bytes: &[u8]) -> Result<(usize, Vec<AppSpan>), Malformed> {
        let mut found = Vec::new();
        let spans = scan(bytes, |span| found.push(span))?;
        Ok((spans, found))
    }

    #[test]
    fn spans_on_connections_are_found_and_all_are_counted() {
        let kinds = (0..6).map(span).collect();
        let (spans, found) = scanned(&request(kinds).encode_to_vec()).expect("a request");
        assert_eq!(spans, 6);
        let sides: Vec<_> = found.iter().map(|span| span.side).collect();
        assert_eq!(sides, [Side::Server, Side::Client, Side::Client, Side::Client]);
        let server = &found[0];
        assert_eq!(server.trace_id, TraceId::from_bytes([1; 16]));
        assert_eq!(server.parent, SpanId::from_bytes([3; 8]));
        assert_eq!(server.time, TimeRange { start: 10, end: 20 });
        assert_eq!(server.client.port, Some(40_000));
    }

    #[test]
    fn spans_without_valid_ids_or_times_are_counted_only() {
        let broken = vec![
            Span { trace_id: vec![0; 16], ..span(2) },
            Span { span_id: vec![1; 7], ..span(2) },
            Span { end_time_unix_nano: 9, ..span(2) },
            Span { start_time_unix_nano: 0, ..span(2) },
            Span { attributes: vec![], ..span(2) },
        ];
        assert_eq!(scanned(&request(broken).encode_to_vec()), Ok((5, vec![])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = scanned(&bytes);
        }

        /// Where prost finds a request, so do we; a cut or a changed byte never panics.
        #[test]
        fn damaged_requests_are_requests_or_errors(
            at in 0_usize..400, byte: u8, cut in 0_usize..400, kind in 0_i32..6,
        ) {
            let mut bytes = request(vec![span(kind), span(2)]).encode_to_vec();
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(len - cut % 8);
            if ExportTraceServiceRequest::decode(&*bytes).is_ok() {
                prop_assert!(scanned(&bytes).is_ok());
            } else {
                let _ = scanned(&bytes);
            }
        }
    }
}
