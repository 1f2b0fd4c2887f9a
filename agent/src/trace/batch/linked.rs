//! Traces that were encoded before it was known which spans of applications they belong to.
//!
//! Such a trace waits as bytes. Links go into its root where the generated code would have written
//! them, and the rest is copied.

use opentelemetry::trace::{SpanId, TraceId};

use super::{
    KIND_INTERNAL, SCOPE_SPANS_SPANS, SPAN_ATTRIBUTES, SPAN_END_TIME, SPAN_FLAGS, SPAN_KIND,
    SPAN_NAME, SPAN_PARENT_SPAN_ID, SPAN_SPAN_ID, SPAN_START_TIME, SPAN_TRACE_ID, SpanBatch, time,
};
use crate::protobuf::{self, Fields};
use crate::trace::names;
use crate::trace::wire::{self, Attributes, Field};

const SPAN_LINKS: Field = 13;
const LINK_TRACE_ID: Field = 1;
const LINK_SPAN_ID: Field = 2;
const LINK_ATTRIBUTES: Field = 4;
const LINK_FLAGS: Field = 6;

/// `Span.flags` and `Link.flags` next to a span of another process: W3C's `sampled` (0x01), as it
/// was exported, and that the parent, or what is linked, is known (0x100) to be remote (0x200).
const REMOTE: u32 = 0x01 | 0x100 | 0x200;

/// A span of an application that an upcall belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLink {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// How it was found.
    pub method: &'static str,
    /// How certain that is.
    pub confidence: &'static str,
}

impl SpanLink {
    fn attributes(&self, mut to: Attributes<'_>) {
        to.string(names::CORRELATION_METHOD, self.method);
        to.string(names::CORRELATION_CONFIDENCE, self.confidence);
    }

    fn encode(trace_id: TraceId, span_id: SpanId, buf: &mut Vec<u8>, link: Option<&Self>) {
        wire::message::<1>(buf, SPAN_LINKS, |buf| {
            wire::bytes(buf, LINK_TRACE_ID, &trace_id.to_bytes());
            wire::bytes(buf, LINK_SPAN_ID, &span_id.to_bytes());
            if let Some(link) = link {
                link.attributes(Attributes::new(buf, LINK_ATTRIBUTES));
            }
            wire::fixed32(buf, LINK_FLAGS, REMOTE);
        });
    }
}

/// What the root of an encoded trace says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootSpan {
    /// Id of the trace.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// Start in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// End in nanoseconds since the Unix epoch.
    pub end_unix_ns: u64,
    /// Whether it has a parent or a link already, by what the packet carried.
    pub is_tied: bool,
}

impl RootSpan {
    /// Reads the first span of an encoded trace; `None` if there is none.
    #[must_use]
    pub fn of(trace: &[u8]) -> Option<Self> {
        let (root, _) = split(trace)?;
        let (mut trace_id, mut span_id) = (None, None);
        let (mut start_unix_ns, mut end_unix_ns, mut is_tied) = (0, 0, false);
        for field in Fields::new(root) {
            let field = field.ok()?;
            match field.number {
                SPAN_TRACE_ID => trace_id = field.bytes().ok()?.try_into().ok(),
                SPAN_SPAN_ID => span_id = field.bytes().ok()?.try_into().ok(),
                SPAN_START_TIME => start_unix_ns = field.fixed64().ok()?,
                SPAN_END_TIME => end_unix_ns = field.fixed64().ok()?,
                SPAN_PARENT_SPAN_ID | SPAN_LINKS => is_tied = true,
                _ => {}
            }
        }
        Some(Self {
            trace_id: TraceId::from_bytes(trace_id?),
            span_id: SpanId::from_bytes(span_id?),
            start_unix_ns,
            end_unix_ns,
            is_tied,
        })
    }
}

/// The content of the first span of a trace, and the spans behind it.
fn split(trace: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields::new(trace);
    let root = fields.next()?.ok()?.bytes().ok()?;
    Some((root, &trace[trace.len() - fields.left()..]))
}

/// The fields of a message up to this number, and those above: ours are in order.
fn split_at(message: &[u8], last: Field) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields::new(message);
    let mut at = 0;
    while let Some(field) = fields.next() {
        let protobuf::Field { number, .. } = field.ok()?;
        if number > last {
            break;
        }
        at = message.len() - fields.left();
    }
    Some(message.split_at(at))
}

impl SpanBatch {
    /// The encoded spans.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Appends a trace of so many spans that another batch has encoded, with links to these spans
    /// of applications on its root. The attributes of the root repeat what the first link says, for
    /// most backends do not search links.
    pub fn push_trace(&mut self, trace: &[u8], spans: usize, links: &[SpanLink]) {
        self.traces += 1;
        self.spans += spans;
        let parts = split(trace).and_then(|(root, rest)| {
            let (before, after) = split_at(root, SPAN_ATTRIBUTES)?;
            let (events, end) = split_at(after, SPAN_LINKS)?;
            Some((before, events, end, rest))
        });
        let (Some(first), Some((before, events, end, rest))) = (links.first(), parts) else {
            self.buf.extend_from_slice(trace);
            return;
        };
        wire::message::<2>(&mut self.buf, SCOPE_SPANS_SPANS, |buf| {
            buf.extend_from_slice(before);
            first.attributes(Attributes::new(buf, SPAN_ATTRIBUTES));
            buf.extend_from_slice(events);
            for link in links {
                SpanLink::encode(link.trace_id, link.span_id, buf, Some(link));
            }
            buf.extend_from_slice(end);
        });
        self.buf.extend_from_slice(rest);
    }

    /// Appends a span to the application's trace: a child of the span that the upcall belongs to,
    /// at the time of the upcall, with a link to the upcall's own trace.
    pub fn push_app_span(&mut self, root: &RootSpan, parent: &SpanLink, span_id: SpanId) {
        self.spans += 1;
        wire::message::<2>(&mut self.buf, SCOPE_SPANS_SPANS, |buf| {
            wire::bytes(buf, SPAN_TRACE_ID, &parent.trace_id.to_bytes());
            wire::bytes(buf, SPAN_SPAN_ID, &span_id.to_bytes());
            wire::bytes(buf, SPAN_PARENT_SPAN_ID, &parent.span_id.to_bytes());
            wire::string(buf, SPAN_NAME, names::APP_SPAN);
            wire::varint(buf, SPAN_KIND, KIND_INTERNAL);
            time(buf, SPAN_START_TIME, root.start_unix_ns);
            time(buf, SPAN_END_TIME, root.end_unix_ns);
            parent.attributes(Attributes::new(buf, SPAN_ATTRIBUTES));
            SpanLink::encode(root.trace_id, root.span_id, buf, None);
            wire::fixed32(buf, SPAN_FLAGS, REMOTE);
        });
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, Status, span};
    use prost::Message as _;

    use super::*;

    fn decoded(batch: &SpanBatch) -> Vec<Span> {
        ScopeSpans::decode(batch.as_bytes()).expect("spans").spans
    }

    /// A trace of two spans, the root with one of everything that ours may have.
    fn trace(links: Vec<span::Link>) -> Vec<u8> {
        let root = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            name: names::ROOT_SPAN.to_owned(),
            start_time_unix_nano: 100,
            end_time_unix_nano: 200,
            attributes: vec![Default::default(); 20],
            events: vec![span::Event { name: "e".repeat(300), ..Default::default() }],
            links,
            status: Some(Status { code: 2, message: "lost".to_owned() }),
            flags: 0x103,
            ..Span::default()
        };
        let child = Span { parent_span_id: vec![2; 8], span_id: vec![3; 8], ..root.clone() };
        ScopeSpans { spans: vec![root, child], ..ScopeSpans::default() }.encode_to_vec()
    }

    fn link(id: u8) -> SpanLink {
        SpanLink {
            trace_id: TraceId::from_bytes([id; 16]),
            span_id: SpanId::from_bytes([id; 8]),
            method: "five_tuple",
            confidence: "exact",
        }
    }

    #[test]
    fn links_go_where_the_generated_code_writes_them() {
        let trace = trace(vec![]);
        let (mut plain, mut linked) = (SpanBatch::default(), SpanBatch::default());
        plain.push_trace(&trace, 2, &[]);
        assert_eq!(plain.as_bytes(), trace);
        linked.push_trace(&trace, 2, &[link(7), link(8)]);
        assert_eq!((linked.spans(), linked.traces()), (2, 1));

        let (before, after) = (decoded(&plain), decoded(&linked));
        assert_eq!(after[1], before[1]);
        let root = &after[0];
        let ids: Vec<_> =
            root.links.iter().map(|link| (link.trace_id[0], link.span_id[0])).collect();
        assert_eq!(ids, [(7, 7), (8, 8)]);
        let added = &root.attributes[before[0].attributes.len()..];
        let texts: Vec<_> = added
            .iter()
            .map(|pair| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Value::StringValue(value)) => (&*pair.key, &**value),
                _ => panic!("no text"),
            })
            .collect();
        let expected =
            [("ovs.correlation.method", "five_tuple"), ("ovs.correlation.confidence", "exact")];
        assert_eq!(texts, expected);
        assert_eq!(root.links[0].attributes, added);
        assert_eq!((&root.events, &root.status), (&before[0].events, &before[0].status));
        let again = ScopeSpans { spans: after.clone(), ..ScopeSpans::default() }.encode_to_vec();
        assert_eq!(linked.as_bytes(), again, "in the order of the fields' numbers");
    }

    #[test]
    fn the_root_is_read_back() {
        let root = RootSpan::of(&trace(vec![])).expect("a root");
        let expected = RootSpan {
            trace_id: TraceId::from_bytes([1; 16]),
            span_id: SpanId::from_bytes([2; 8]),
            start_unix_ns: 100,
            end_unix_ns: 200,
            is_tied: false,
        };
        assert_eq!(root, expected);
        let tied = RootSpan::of(&trace(vec![span::Link::default()])).expect("a root");
        assert!(tied.is_tied);
        assert_eq!(RootSpan::of(&[]), None);
        assert_eq!(RootSpan::of(&[0x12, 9]), None);
    }

    #[test]
    fn the_applications_trace_gets_a_child_that_links_back() {
        let root = RootSpan::of(&trace(vec![])).expect("a root");
        let mut batch = SpanBatch::default();
        batch.push_app_span(&root, &link(7), SpanId::from_bytes([9; 8]));
        let spans = decoded(&batch);
        let span = &spans[0];
        assert_eq!(span.name, "ovs upcall");
        assert_eq!((&span.trace_id, &span.parent_span_id), (&vec![7; 16], &vec![7; 8]));
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (100, 200));
        assert_eq!((&span.links[0].trace_id, &span.links[0].span_id), (&vec![1; 16], &vec![2; 8]));
        assert_eq!((batch.spans(), batch.traces()), (1, 0));
    }
}
