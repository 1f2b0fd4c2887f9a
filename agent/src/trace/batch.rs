//! Spans on their way out: encoded one behind the other.

mod linked;

use bytes::Bytes;
use opentelemetry::trace::{SpanContext, SpanId};

pub use self::linked::{RootSpan, SpanLink};
use super::lineage::{self, Lineage, Parent};
use super::wire::{self, Attributes, Field};
use crate::event::EventKind;

/// `ScopeSpans.spans`.
const SCOPE_SPANS_SPANS: Field = 2;

const SPAN_TRACE_ID: Field = 1;
const SPAN_SPAN_ID: Field = 2;
const SPAN_TRACE_STATE: Field = 3;
const SPAN_PARENT_SPAN_ID: Field = 4;
const SPAN_NAME: Field = 5;
const SPAN_KIND: Field = 6;
const SPAN_START_TIME: Field = 7;
const SPAN_END_TIME: Field = 8;
const SPAN_ATTRIBUTES: Field = 9;
const SPAN_EVENTS: Field = 11;
const SPAN_LINKS: Field = 13;
const SPAN_STATUS: Field = 15;
const SPAN_FLAGS: Field = 16;
const STATUS_MESSAGE: Field = 2;
const STATUS_CODE: Field = 3;
const EVENT_TIME: Field = 1;
const EVENT_NAME: Field = 2;
const EVENT_ATTRIBUTES: Field = 3;
const LINK_TRACE_ID: Field = 1;
const LINK_SPAN_ID: Field = 2;
const LINK_TRACE_STATE: Field = 3;
const LINK_FLAGS: Field = 6;

/// `SPAN_KIND_INTERNAL`: neither end of an upcall is a request of another service.
const KIND_INTERNAL: u64 = 1;

/// `STATUS_CODE_ERROR`.
const STATUS_ERROR: u64 = 2;

/// Spans encoded as consecutive `ScopeSpans.spans` fields, ready to be wrapped by an
/// [`Envelope`](super::Envelope). The buffer is reused: once it has grown to a batch's size, no
/// span allocates.
#[derive(Debug, Default)]
pub struct SpanBatch {
    buf: Vec<u8>,
    spans: usize,
    traces: usize,
}

impl SpanBatch {
    /// An empty batch with room for this many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buf: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Size in bytes of the spans; a request has [`Envelope::overhead_bytes`] more.
    ///
    /// [`Envelope::overhead_bytes`]: super::Envelope::overhead_bytes
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.buf.len()
    }

    /// Number of spans.
    #[must_use]
    pub fn spans(&self) -> usize {
        self.spans
    }

    /// Number of traces, one for each upcall; all spans of an upcall are in the same batch.
    #[must_use]
    pub fn traces(&self) -> usize {
        self.traces
    }

    /// Whether it holds no span.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans == 0
    }

    /// Drops all spans, keeps the memory.
    pub fn clear(&mut self) {
        self.buf.clear();
        (self.spans, self.traces) = (0, 0);
    }

    /// Hands out the spans without copying, and leaves an empty batch that has room for as many
    /// bytes again.
    #[must_use]
    pub fn take(&mut self) -> EncodedSpans {
        self.take_until(self.end())
    }

    /// Hands out the spans before `end`, an earlier state of this batch, and keeps those after it.
    ///
    /// What is handed out may wait for long in a queue, so it takes no more memory than it needs;
    /// and the next batch, which is about as large, does not have to grow, which would leave holes
    /// in the heap that are as large as batches.
    #[must_use]
    pub fn take_until(&mut self, end: BatchEnd) -> EncodedSpans {
        let len = self.buf.len();
        let mut rest = Vec::with_capacity(len + len / 8);
        rest.extend_from_slice(&self.buf[end.bytes..]);
        let rest =
            Self { buf: rest, spans: self.spans - end.spans, traces: self.traces - end.traces };
        let mut whole = std::mem::replace(self, rest);
        whole.buf.truncate(end.bytes);
        whole.buf.shrink_to_fit();
        EncodedSpans { bytes: whole.buf.into(), spans: end.spans }
    }

    /// Where the batch ends now.
    #[must_use]
    pub const fn end(&self) -> BatchEnd {
        BatchEnd { bytes: self.buf.len(), spans: self.spans, traces: self.traces }
    }

    pub(super) fn start_trace(&mut self) {
        self.traces += 1;
    }

    pub(super) fn push(&mut self, head: &SpanHead<'_>, body: impl FnOnce(&mut SpanBody<'_>)) {
        self.spans += 1;
        wire::message::<2>(&mut self.buf, SCOPE_SPANS_SPANS, |buf| {
            wire::bytes(buf, SPAN_TRACE_ID, &head.lineage.trace_id().to_bytes());
            wire::bytes(buf, SPAN_SPAN_ID, &head.span_id.to_bytes());
            optional_string(buf, SPAN_TRACE_STATE, head.lineage.state());
            if let Parent::Local(parent) | Parent::Remote(parent) = head.parent {
                wire::bytes(buf, SPAN_PARENT_SPAN_ID, &parent.to_bytes());
            }
            wire::string(buf, SPAN_NAME, head.name);
            wire::varint(buf, SPAN_KIND, KIND_INTERNAL);
            time(buf, SPAN_START_TIME, head.start_unix_ns);
            time(buf, SPAN_END_TIME, head.end_unix_ns);
            body(&mut SpanBody { buf });
            wire::fixed32(buf, SPAN_FLAGS, head.lineage.span_flags(head.parent));
        });
    }
}

/// A place between two traces of a [`SpanBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEnd {
    bytes: usize,
    spans: usize,
    traces: usize,
}

/// Zero is proto3's default, and a default is not written.
fn time(buf: &mut Vec<u8>, field: Field, unix_ns: u64) {
    if unix_ns != 0 {
        wire::fixed64(buf, field, unix_ns);
    }
}

/// Neither is an empty text.
fn optional_string(buf: &mut Vec<u8>, field: Field, text: &str) {
    if !text.is_empty() {
        wire::string(buf, field, text);
    }
}

/// Finished spans: the bytes of consecutive `ScopeSpans.spans` fields, and how many they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedSpans {
    /// The fields, protobuf-encoded.
    pub bytes: Bytes,
    /// Number of spans in them.
    pub spans: usize,
}

/// What every span has.
pub(super) struct SpanHead<'l> {
    pub(super) lineage: &'l Lineage,
    pub(super) span_id: SpanId,
    pub(super) parent: Parent,
    pub(super) name: &'static str,
    pub(super) start_unix_ns: u64,
    pub(super) end_unix_ns: u64,
}

/// Takes what a span has besides its head: attributes first, then events, links, and the status.
pub(super) struct SpanBody<'b> {
    buf: &'b mut Vec<u8>,
}

impl SpanBody<'_> {
    pub(super) fn attributes(&mut self) -> Attributes<'_> {
        Attributes::new(self.buf, SPAN_ATTRIBUTES)
    }

    /// A link to a span of another trace.
    pub(super) fn link(&mut self, to: &SpanContext) {
        wire::message::<1>(self.buf, SPAN_LINKS, |buf| {
            wire::bytes(buf, LINK_TRACE_ID, &to.trace_id().to_bytes());
            wire::bytes(buf, LINK_SPAN_ID, &to.span_id().to_bytes());
            optional_string(buf, LINK_TRACE_STATE, &to.trace_state().header());
            wire::fixed32(buf, LINK_FLAGS, lineage::link_flags(to));
        });
    }

    /// The status ERROR, with a message.
    pub(super) fn error(&mut self, message: &str) {
        wire::message::<1>(self.buf, SPAN_STATUS, |buf| {
            wire::string(buf, STATUS_MESSAGE, message);
            wire::varint(buf, STATUS_CODE, STATUS_ERROR);
        });
    }

    pub(super) fn event(
        &mut self,
        kind: EventKind,
        unix_ns: u64,
        attributes: impl FnOnce(&mut Attributes<'_>),
    ) {
        wire::message::<1>(self.buf, SPAN_EVENTS, |buf| {
            time(buf, EVENT_TIME, unix_ns);
            wire::string(buf, EVENT_NAME, kind.name());
            attributes(&mut Attributes::new(buf, EVENT_ATTRIBUTES));
        });
    }
}
