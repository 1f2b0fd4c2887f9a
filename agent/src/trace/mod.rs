//! Upcalls become traces: spans with ids, names, times and attributes, encoded as OTLP.
//!
//! A [`Tracer`] turns one [`Upcall`] after the other into spans in a [`SpanBatch`]; an
//! [`Envelope`] makes the batch a request:
//!
//! ```
//! use upspan::event::{Comm, EventHead, FlowKeyBytes, InPort, MonotonicNs, Packet, UpcallType};
//! use upspan::ports::Ports;
//! use upspan::trace::{Envelope, Resource, SpanBatch, Tracer, TracerConfig};
//! use upspan::upcall::{BatchPlace, Missing, Upcall};
//!
//! let mut ports = Ports::default();
//! let upcall = Upcall {
//!     upcall_type: UpcallType::Miss,
//!     datapath: ports.datapath(b"ovs-system").expect("the first datapath"),
//!     in_port: InPort::Any,
//!     kernel: None,
//!     recv: EventHead { ts: MonotonicNs(7), comm: Comm::from_bytes(b"handler1"), ..EventHead::default() },
//!     packet: Packet { len: 42, bytes: &[] },
//!     key: FlowKeyBytes::default(),
//!     translated: None,
//!     flow_put: None,
//!     flow_execute: None,
//!     packet_execute: None,
//!     batch: BatchPlace { size: 1, index: 0 },
//!     missing: Missing::default(),
//! };
//! let mut tracer = Tracer::new(TracerConfig::default());
//! let mut batch = SpanBatch::default();
//! let traced = tracer.trace(&upcall, &ports, &mut batch).expect("every upcall is sampled");
//! assert_eq!(traced.spans, 1);
//!
//! let envelope = Envelope::new(&Resource::from_env(None, |_| None)?);
//! let request = envelope.request(&batch.take());
//! assert!(!request.is_empty());
//! # Ok::<(), upspan::trace::ResourceError>(())
//! ```
//!
//! docs/attributes.md describes the result.

mod attributes;
mod batch;
mod clock;
mod envelope;
pub(crate) mod errno;
mod ids;
mod lineage;
pub mod names;
mod resource;
mod sampler;
#[cfg(test)]
mod tests;
mod upcall_spans;
mod wire;

use opentelemetry::trace::{SpanId, TraceId};

use self::batch::SpanHead;
pub use self::batch::{BatchEnd, EncodedSpans, RootSpan, SpanBatch, SpanLink};
pub use self::clock::TimeAnchor;
pub use self::envelope::Envelope;
pub use self::ids::IdGenerator;
pub use self::lineage::ContextMode;
use self::lineage::Lineage;
pub use self::resource::{
    NODE_NAME_VARIABLE, RESOURCE_ATTRIBUTES_VARIABLE, Resource, ResourceError,
    SERVICE_NAME_VARIABLE, host_name,
};
pub use self::sampler::{
    RatioSampler, SAMPLER_ARG_VARIABLE, SAMPLER_VARIABLE, Sampler, SamplerError,
};
use self::upcall_spans::UpcallSpans;
use crate::enrich::Headers;
use crate::event::EventKind;
use crate::ports::Ports;
use crate::upcall::{FailedUpcall, Upcall};

/// What a [`Tracer`] is made of.
#[derive(Clone, Debug)]
pub struct TracerConfig {
    /// Where ids come from.
    pub ids: IdGenerator,
    /// Wall-clock time of the events.
    pub anchor: TimeAnchor,
    /// Which upcalls become traces.
    pub sampler: Sampler,
    /// What becomes of the trace context that a packet carries.
    pub context: ContextMode,
}

impl Default for TracerConfig {
    /// Random ids, monotonic time taken as Unix time, every upcall; packets with a trace context
    /// are in its trace if that is recorded.
    fn default() -> Self {
        Self {
            ids: IdGenerator::random(),
            anchor: TimeAnchor::default(),
            sampler: Sampler::default(),
            context: ContextMode::default(),
        }
    }
}

/// Makes a trace of every upcall that is sampled.
#[derive(Clone, Debug)]
pub struct Tracer {
    ids: IdGenerator,
    anchor: TimeAnchor,
    sampler: Sampler,
    context: ContextMode,
}

/// The trace that an upcall became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Its id: the application's, where the packet carried one.
    pub trace_id: TraceId,
    /// How many spans were added to the batch: the root and one per phase.
    pub spans: usize,
}

impl Tracer {
    /// A tracer of these parts.
    #[must_use]
    pub fn new(config: TracerConfig) -> Self {
        let TracerConfig { ids, anchor, sampler, context } = config;
        Self { ids, anchor, sampler, context }
    }

    /// Goes on with another anchor: the clocks were measured again, or a recording starts over.
    pub fn set_anchor(&mut self, anchor: TimeAnchor) {
        self.anchor = anchor;
    }

    /// A new id, for a span that is in no trace of ours.
    pub fn span_id(&mut self) -> SpanId {
        self.ids.span_id()
    }

    /// The anchor in use.
    #[must_use]
    pub const fn anchor(&self) -> TimeAnchor {
        self.anchor
    }

    /// Appends the spans of an upcall to `out`, its root first; `None`, and nothing appended, where
    /// it is not sampled.
    pub fn trace(
        &mut self,
        upcall: &Upcall<'_>,
        ports: &Ports,
        out: &mut SpanBatch,
    ) -> Option<Traced> {
        let (headers, transport) = Headers::split(upcall.packet.bytes);
        let lineage = Lineage::find(transport, self.context, self.sampler, &mut self.ids)?;
        out.start_trace();
        let spans = UpcallSpans::new(upcall, &headers).encode(
            &lineage,
            &mut self.ids,
            self.anchor,
            ports,
            out,
        );
        Some(Traced { trace_id: lineage.trace_id(), spans })
    }

    /// As [`Tracer::trace`], of an upcall that the kernel could not deliver: one span, with the
    /// status ERROR.
    pub fn trace_failed(
        &mut self,
        failed: &FailedUpcall<'_>,
        ports: &Ports,
        out: &mut SpanBatch,
    ) -> Option<Traced> {
        let (headers, transport) = Headers::split(failed.packet.bytes);
        let lineage = Lineage::find(transport, self.context, self.sampler, &mut self.ids)?;
        out.start_trace();
        let start = self.anchor.to_unix_ns(failed.head.ts);
        let head = SpanHead {
            lineage: &lineage,
            span_id: self.ids.span_id(),
            parent: lineage.parent(),
            name: names::ROOT_SPAN,
            start_unix_ns: start,
            end_unix_ns: self.anchor.to_unix_ns(failed.returned).max(start),
        };
        out.push(&head, |span| {
            let to = &mut span.attributes();
            attributes::failed(failed, &headers, ports, to);
            attributes::correlation(&lineage, to);
            span.event(EventKind::DpUpcall, start, |to| attributes::event(&failed.head, to));
            if let Some(linked) = lineage.link() {
                span.link(linked);
            }
            span.error(errno::meaning(failed.errno));
        });
        Some(Traced { trace_id: lineage.trace_id(), spans: 1 })
    }
}
