//! Which trace an upcall's spans belong to.

use opentelemetry::trace::{SpanContext, SpanId, TraceId};

use super::ids::IdGenerator;
use super::sampler::Sampler;
use crate::enrich::PacketContext;
use crate::enrich::headers::Transport;

/// Low byte of `Span.flags` and `Link.flags`: W3C's `sampled`.
const SAMPLED: u32 = 0x01;
/// W3C's `random`: all bits of the trace id are.
const RANDOM: u32 = 0x02;
/// It is known whether the parent, or the linked span, is remote.
const REMOTE_IS_KNOWN: u32 = 0x100;
/// It is.
const IS_REMOTE: u32 = 0x200;

/// What becomes of the trace context that a packet carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ContextMode {
    /// The upcall is a child of its span, in the application's trace, and sampled as that is
    #[default]
    Parent,
    /// The upcall has a trace of its own, with a link to its span
    Link,
    /// It is not looked for
    Off,
}

/// The trace of an upcall, and what ties it to the one that its packet was sent for.
#[derive(Clone, Debug)]
pub(super) struct Lineage {
    trace_id: TraceId,
    /// W3C flags of its spans.
    flags: u32,
    /// The `tracestate` header of its spans.
    state: String,
    tie: Option<Tie>,
}

#[derive(Clone, Debug)]
enum Tie {
    Parent(PacketContext),
    Link(PacketContext),
}

/// The parent of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    /// None: the first span of its trace.
    None,
    /// A span of the same upcall.
    Local(SpanId),
    /// A span of somebody else.
    Remote(SpanId),
}

impl Lineage {
    /// The lineage of an upcall with such a packet; `None` if it is not sampled.
    pub(super) fn find(
        transport: Option<Transport<'_>>,
        mode: ContextMode,
        sampler: Sampler,
        ids: &mut IdGenerator,
    ) -> Option<Self> {
        let context = match mode {
            ContextMode::Off => None,
            ContextMode::Parent | ContextMode::Link => {
                transport.and_then(PacketContext::of_transport)
            }
        };
        match context {
            Some(context) if mode == ContextMode::Parent => {
                let trace_id = context.span_context().trace_id();
                sampler.samples(trace_id, context.sampled()).then(|| Self::within(context))
            }
            context => {
                let trace_id = ids.trace_id();
                sampler.samples(trace_id, None).then(|| Self::of_its_own(trace_id, context))
            }
        }
    }

    /// In the trace of the application.
    fn within(context: PacketContext) -> Self {
        let parent = context.span_context();
        Self {
            trace_id: parent.trace_id(),
            flags: SAMPLED | u32::from(parent.trace_flags().to_u8()) & RANDOM,
            state: parent.trace_state().header(),
            tie: Some(Tie::Parent(context)),
        }
    }

    /// In a trace that begins with the upcall.
    fn of_its_own(trace_id: TraceId, linked: Option<PacketContext>) -> Self {
        let flags = SAMPLED | RANDOM;
        Self { trace_id, flags, state: String::new(), tie: linked.map(Tie::Link) }
    }

    pub(super) const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// As the header has it; empty if there is none.
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// Parent of the upcall's root span.
    pub(super) fn parent(&self) -> Parent {
        match &self.tie {
            Some(Tie::Parent(context)) => Parent::Remote(context.span_context().span_id()),
            Some(Tie::Link(_)) | None => Parent::None,
        }
    }

    /// What the upcall's root span links to.
    pub(super) const fn link(&self) -> Option<&SpanContext> {
        match &self.tie {
            Some(Tie::Link(context)) => Some(context.span_context()),
            Some(Tie::Parent(_)) | None => None,
        }
    }

    /// The packet's context, if it is used.
    pub(super) const fn context(&self) -> Option<&PacketContext> {
        match &self.tie {
            Some(Tie::Parent(context) | Tie::Link(context)) => Some(context),
            None => None,
        }
    }

    /// `Span.flags` of a span with this parent.
    pub(super) const fn span_flags(&self, parent: Parent) -> u32 {
        let remote = match parent {
            Parent::None | Parent::Local(_) => 0,
            Parent::Remote(_) => IS_REMOTE,
        };
        self.flags | REMOTE_IS_KNOWN | remote
    }
}

/// `Link.flags` of a link to a span of somebody else.
pub(super) fn link_flags(context: &SpanContext) -> u32 {
    u32::from(context.trace_flags().to_u8()) | REMOTE_IS_KNOWN | IS_REMOTE
}
