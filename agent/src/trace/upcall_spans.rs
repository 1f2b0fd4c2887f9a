//! Upcall → spans: which there are, whose child each is, and when.

use opentelemetry::trace::SpanId;

use super::attributes;
use super::batch::{SpanBatch, SpanBody, SpanHead};
use super::clock::TimeAnchor;
use super::ids::IdGenerator;
use super::lineage::{Lineage, Parent};
use super::names;
use crate::enrich::Headers;
use crate::event::{EventKind, MonotonicNs};
use crate::phases::{Phase, PhaseKind};
use crate::ports::Ports;
use crate::upcall::Upcall;

/// The spans of one upcall, before they have ids.
pub(super) struct UpcallSpans<'u> {
    upcall: &'u Upcall<'u>,
    headers: &'u Headers,
    root: Interval,
    /// By [`PhaseKind::ALL`].
    phases: [Option<Phase>; PhaseKind::ALL.len()],
}

impl<'u> UpcallSpans<'u> {
    pub(super) fn new(upcall: &'u Upcall<'u>, headers: &'u Headers) -> Self {
        let phases = PhaseKind::ALL.map(|kind| upcall.phase(kind));
        let mut this = Self { upcall, headers, root: Interval::at(upcall.recv.ts), phases };
        // Timestamps of different CPUs may step back, and a translation may end after the last
        // event of an upcall that was never executed: the root spans whatever there is.
        for kind in EventKind::ALL {
            if let Some(head) = upcall.event(kind) {
                this.root.include(head.ts);
            }
        }
        for phase in this.phases.into_iter().flatten() {
            if this.parent(phase.kind).is_none() {
                this.root.include(phase.start);
                this.root.include(phase.end);
            }
        }
        this
    }

    /// Encodes the root, then its descendants, parents first. Returns the number of spans.
    pub(super) fn encode(
        &self,
        lineage: &Lineage,
        ids: &mut IdGenerator,
        anchor: TimeAnchor,
        ports: &Ports,
        out: &mut SpanBatch,
    ) -> usize {
        let before = out.spans();
        let head = |span_id, parent, name, at: Interval| SpanHead {
            lineage,
            span_id,
            parent,
            name,
            start_unix_ns: anchor.to_unix_ns(at.start),
            end_unix_ns: anchor.to_unix_ns(at.end),
        };
        let root_id = ids.span_id();
        out.push(&head(root_id, lineage.parent(), names::ROOT_SPAN, self.root), |span| {
            let to = &mut span.attributes();
            attributes::root(self.upcall, self.headers, ports, to);
            attributes::correlation(lineage, to);
            self.events(None, anchor, span);
            if let Some(linked) = lineage.link() {
                span.link(linked);
            }
        });
        let mut encoded = [None::<SpanId>; PhaseKind::ALL.len()];
        for (index, phase) in self.phases.iter().enumerate() {
            let Some(phase) = phase else { continue };
            let within = self.parent(phase.kind);
            let parent_id = within.and_then(|parent| encoded[parent as usize]).unwrap_or(root_id);
            let id = ids.span_id();
            let parent = Parent::Local(parent_id);
            out.push(&head(id, parent, phase.kind.name(), self.interval(phase)), |span| {
                self.events(Some(phase.kind), anchor, span);
            });
            encoded[index] = Some(id);
        }
        out.spans() - before
    }

    fn has(&self, kind: PhaseKind) -> bool {
        self.phases[kind as usize].is_some()
    }

    /// The phase that holds this one; `None` for the root.
    fn parent(&self, kind: PhaseKind) -> Option<PhaseKind> {
        kind.parent().filter(|&parent| self.has(parent))
    }

    /// When the phase was, cut to its parent where a clock that stepped back has it reach out.
    fn interval(&self, phase: &Phase) -> Interval {
        let own = Interval { start: phase.start, end: phase.end };
        let parent = self.parent(phase.kind).and_then(|parent| self.phases[parent as usize]);
        parent.map_or(own, |parent| own.within(parent.start, parent.end))
    }

    /// The span that an event is shown on: the one that it ends or begins; `None` for the root.
    fn carrier(&self, kind: EventKind) -> Option<PhaseKind> {
        let carrier = match kind {
            EventKind::DpUpcall | EventKind::RecvUpcall => PhaseKind::KernelToVswitchd,
            EventKind::OpFlowPut => PhaseKind::Lookup,
            EventKind::OpFlowExecute
                if self.upcall.flow_put.is_none() && !self.has(PhaseKind::ExecuteToKernel) =>
            {
                PhaseKind::Lookup
            }
            EventKind::OpFlowExecute | EventKind::OvsPktExec => PhaseKind::ExecuteToKernel,
        };
        self.has(carrier).then_some(carrier)
    }

    fn events(&self, on: Option<PhaseKind>, anchor: TimeAnchor, span: &mut SpanBody<'_>) {
        for kind in EventKind::IN_ORDER {
            if self.carrier(kind) == on
                && let Some(head) = self.upcall.event(kind)
            {
                span.event(kind, anchor.to_unix_ns(head.ts), |to| attributes::event(head, to));
            }
        }
    }
}

/// Two instants, the second not before the first.
#[derive(Clone, Copy)]
struct Interval {
    start: MonotonicNs,
    end: MonotonicNs,
}

impl Interval {
    fn at(ts: MonotonicNs) -> Self {
        Self { start: ts, end: ts }
    }

    fn include(&mut self, ts: MonotonicNs) {
        self.start = self.start.min(ts);
        self.end = self.end.max(ts);
    }

    fn within(self, start: MonotonicNs, end: MonotonicNs) -> Self {
        Self { start: self.start.clamp(start, end), end: self.end.clamp(start, end) }
    }
}
