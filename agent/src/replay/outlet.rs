//! The way out: upcalls become spans, spans fill batches, batches go to their destinations.

use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::TraceId;

use super::pace::Pace;
use crate::event::{Event, EventKind, MonotonicNs, Packet};
use crate::export::{BatchLimits, FileOutput, OutputError, SpanSender};
use crate::filter::UpcallFilter;
use crate::join::{Connection, JoinTotals, Joined, Joiner};
use crate::pipeline::Consumer;
use crate::ports::Ports;
use crate::trace::{EncodedSpans, RootSpan, SpanBatch, TimeAnchor, Traced, Tracer};
use crate::upcall::{FailedUpcall, Unmatched, Upcall};

/// What to do with a batch for which the exporter has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait: where upcalls come from can wait, too.
    #[default]
    Wait,
    /// Drop it, counted: the kernel does not wait.
    Drop,
}

/// What the times of a source mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// The first event is now.
    #[default]
    BeginNow,
    /// They are anchored there.
    Anchored(TimeAnchor),
    /// What the recorder's clocks say; where it has recorded none, they count from the start of
    /// 1970.
    Recorded,
}

/// Where batches go: to either or both.
#[derive(Debug, Default)]
pub struct Destination {
    /// An OTLP backend.
    pub otlp: Option<SpanSender>,
    /// What if it has no room.
    pub when_full: WhenFull,
    /// A file.
    pub file: Option<FileOutput>,
}

/// How many upcalls came, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct OutletTotals {
    /// Upcalls that came.
    pub upcalls: u64,
    /// Those that the filter held back.
    pub filtered: u64,
    /// Those that were not sampled.
    pub not_sampled: u64,
    /// Those that became traces.
    pub traces: u64,
    /// Spans of these, and those that were added to traces of applications.
    pub spans: u64,
}

/// What an outlet did with an upcall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The trace that it became; `None` where it was filtered or not sampled.
    pub trace_id: Option<TraceId>,
    /// The wall-clock time of its events.
    pub anchor: TimeAnchor,
}

/// Sees everything that an outlet sees, and what became of it.
pub trait Witness: std::fmt::Debug + Send {
    /// See [`Consumer::event`].
    fn event(&mut self, event: &Event<'_>);
    /// See [`Consumer::upcall`].
    fn upcall(&mut self, upcall: &Upcall<'_>, ports: &Ports, passed: Passed);
    /// See [`Consumer::failed`].
    fn failed(&mut self, failed: &FailedUpcall<'_>, ports: &Ports, passed: Passed);
    /// See [`Consumer::unmatched`].
    fn unmatched(&mut self, unmatched: &Unmatched);
    /// See [`Consumer::lost`].
    fn lost(&mut self, kind: EventKind, count: u64);
}

/// Makes traces of upcalls and sends them; see the module.
#[derive(Debug)]
pub struct Outlet {
    destination: Destination,
    tracer: Tracer,
    filter: UpcallFilter,
    limits: BatchLimits,
    pace: Pace,
    times: Times,
    batch: SpanBatch,
    /// When the oldest span of the batch came.
    batch_since: Option<Instant>,
    joiner: Option<Joiner>,
    /// The trace that is about to wait in the joiner.
    scratch: SpanBatch,
    totals: OutletTotals,
    failure: Option<OutputError>,
    witness: Option<Box<dyn Witness>>,
}

impl Outlet {
    /// An outlet to this destination.
    #[must_use]
    pub fn new(
        destination: Destination,
        tracer: Tracer,
        filter: UpcallFilter,
        limits: BatchLimits,
        pace: Pace,
    ) -> Self {
        Self {
            destination,
            tracer,
            filter,
            limits,
            pace,
            times: Times::BeginNow,
            batch: SpanBatch::default(),
            batch_since: None,
            joiner: None,
            scratch: SpanBatch::default(),
            totals: OutletTotals::default(),
            failure: None,
            witness: None,
        }
    }

    /// The same, with a witness.
    #[must_use]
    pub fn witnessed(self, witness: Option<Box<dyn Witness>>) -> Self {
        Self { witness, ..self }
    }

    /// Has upcalls wait for the spans of applications.
    #[must_use]
    pub fn with_joiner(self, joiner: Joiner) -> Self {
        Self { joiner: Some(joiner), ..self }
    }

    /// What became of the upcalls that waited for spans of applications; `None` if none waits.
    #[must_use]
    pub fn join_totals(&self) -> Option<JoinTotals> {
        self.joiner.as_ref().map(Joiner::totals)
    }

    /// Lets all upcalls go that wait for spans of applications: there will be no more.
    pub fn end_joining(&mut self) {
        self.with_joined(Joiner::release_all);
    }

    /// The source starts, or starts over: its times mean this from now on.
    pub fn restart(&mut self, times: Times) {
        self.times = times;
        match times {
            Times::BeginNow => {}
            Times::Anchored(anchor) => self.tracer.set_anchor(anchor),
            Times::Recorded => self.tracer.set_anchor(TimeAnchor::default()),
        }
        self.pace.restart();
    }

    /// How far it is.
    #[must_use]
    pub const fn totals(&self) -> OutletTotals {
        self.totals
    }

    /// Sends what is left. The error, if any, is the first of the file's: its spans from then on
    /// count as failed.
    pub fn finish(mut self) -> (OutletTotals, Option<OutputError>) {
        self.end_joining();
        if !self.batch.is_empty() {
            self.send_all();
        }
        (self.totals, self.failure)
    }

    /// Waits until what happened at `ts` is due. What is in the batch does not wait any longer than
    /// it may.
    fn wait_for(&mut self, ts: MonotonicNs) {
        let wait = self.pace.until(ts);
        if wait.is_zero() {
            return;
        }
        let age = self.batch_since.map_or(Duration::ZERO, |since| since.elapsed());
        if !self.batch.is_empty() && age.saturating_add(wait) > self.limits.max_delay() {
            self.send_all();
        }
        self.pace.wait(wait);
    }

    /// Sends what is in the batch if it has waited long enough. Returns how long it may wait yet.
    pub fn tick(&mut self) -> Option<Duration> {
        self.with_joined(|joiner, out| joiner.release(Instant::now(), out));
        let age = self.batch_since?.elapsed();
        if age >= self.limits.max_delay() {
            self.send_all();
            return None;
        }
        Some(self.limits.max_delay() - age)
    }

    /// The clocks were measured again.
    pub fn set_anchor(&mut self, anchor: TimeAnchor) {
        self.tracer.set_anchor(anchor);
    }

    /// Takes a trace on its way, if it is sampled: to the batch, or first to the joiner. Returns the
    /// trace's id.
    fn add(
        &mut self,
        packet: &Packet<'_>,
        trace: impl FnOnce(&mut Tracer, &mut SpanBatch) -> Option<Traced>,
    ) -> Option<TraceId> {
        let connection = self.joiner.as_ref().and_then(|_| Connection::of(packet));
        let traced = match connection {
            Some(connection) => self.hold(connection, trace),
            None => self.append(trace),
        };
        let Some(Traced { trace_id, spans }) = traced else {
            self.totals.not_sampled += 1;
            return None;
        };
        self.totals.traces += 1;
        self.totals.spans += spans as u64;
        Some(trace_id)
    }

    /// Has a trace wait for the spans of its connection, unless the packet itself has said whose it
    /// is.
    fn hold(
        &mut self,
        connection: Connection,
        trace: impl FnOnce(&mut Tracer, &mut SpanBatch) -> Option<Traced>,
    ) -> Option<Traced> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let traced = trace(&mut self.tracer, &mut scratch);
        if let Some(Traced { spans, .. }) = traced {
            let bytes = scratch.as_bytes();
            if RootSpan::of(bytes).is_some_and(|root| !root.is_tied) {
                self.with_joined(|joiner, out| {
                    joiner.hold(Instant::now(), connection, (bytes, spans), out);
                });
            } else {
                self.append(|_, batch| {
                    batch.push_trace(bytes, spans, &[]);
                    Some(())
                });
            }
        }
        self.scratch = scratch;
        traced
    }

    /// Has the joiner hand traces on to the batch.
    fn with_joined(&mut self, run: impl FnOnce(&mut Joiner, &mut dyn FnMut(&Joined<'_>))) {
        let Some(mut joiner) = self.joiner.take() else { return };
        run(&mut joiner, &mut |joined| {
            let Joined { trace, spans, root, links, parents } = joined;
            self.append(|tracer, batch| {
                batch.push_trace(trace, *spans, links);
                for parent in parents {
                    batch.push_app_span(root, parent, tracer.span_id());
                }
                Some(())
            });
            self.totals.spans += parents.len() as u64;
        });
        self.joiner = Some(joiner);
    }

    /// Appends what `push` pushes to the batch, and sends the batch when it is full.
    fn append<T>(
        &mut self,
        push: impl FnOnce(&mut Tracer, &mut SpanBatch) -> Option<T>,
    ) -> Option<T> {
        let (before, spans, bytes) = (self.batch.end(), self.batch.spans(), self.batch.len_bytes());
        let pushed = push(&mut self.tracer, &mut self.batch)?;
        let now = Instant::now();
        let (more_spans, more_bytes) = (self.batch.spans() - spans, self.batch.len_bytes() - bytes);
        if !self.limits.fits(spans, bytes, more_spans, more_bytes) {
            let full = self.batch.take_until(before);
            self.send(full);
            self.batch_since = None;
        }
        let age = now - *self.batch_since.get_or_insert(now);
        if self.limits.should_cut(self.batch.spans(), self.batch.len_bytes(), age) {
            self.send_all();
        }
        Some(pushed)
    }

    fn send_all(&mut self) {
        self.batch_since = None;
        let spans = self.batch.take();
        self.send(spans);
    }

    fn send(&mut self, spans: EncodedSpans) {
        if let Some(file) = &mut self.destination.file
            && let Err(error) = file.write(&spans)
        {
            self.failure.get_or_insert(error);
        }
        if let Some(otlp) = &self.destination.otlp {
            match self.destination.when_full {
                WhenFull::Drop => otlp.offer(spans),
                WhenFull::Wait => {
                    // A closed exporter has counted the spans as failed: the replay was stopped.
                    let _closed = otlp.blocking_send(spans);
                }
            }
        }
    }
}

impl Consumer for Outlet {
    fn event(&mut self, event: &Event<'_>, _: &Ports) {
        if let Some(witness) = &mut self.witness {
            witness.event(event);
        }
        if self.times == Times::BeginNow {
            let anchor = TimeAnchor::at(event.head.ts, SystemTime::now());
            self.times = Times::Anchored(anchor);
            self.tracer.set_anchor(anchor);
        }
        self.pace.begin(event.head.ts);
    }

    fn upcall(&mut self, upcall: &Upcall<'_>, ports: &Ports) {
        let passes = self.filter.passes(upcall, ports);
        if passes && !self.pace.is_max() {
            self.wait_for(upcall.last().ts);
        }
        // What would have come later, but for the end, did not come.
        if self.pace.is_stopped() {
            return;
        }
        self.totals.upcalls += 1;
        let trace_id = if passes {
            self.add(&upcall.packet, |tracer, batch| tracer.trace(upcall, ports, batch))
        } else {
            self.totals.filtered += 1;
            None
        };
        if let Some(witness) = &mut self.witness {
            let passed = Passed { trace_id, anchor: self.tracer.anchor() };
            witness.upcall(upcall, ports, passed);
        }
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>, ports: &Ports) {
        self.totals.upcalls += 1;
        let trace_id = if self.filter.passes_failed(failed, ports) {
            self.add(&failed.packet, |tracer, batch| tracer.trace_failed(failed, ports, batch))
        } else {
            self.totals.filtered += 1;
            None
        };
        if let Some(witness) = &mut self.witness {
            let passed = Passed { trace_id, anchor: self.tracer.anchor() };
            witness.failed(failed, ports, passed);
        }
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        if let Some(witness) = &mut self.witness {
            witness.unmatched(unmatched);
        }
    }

    fn lost(&mut self, kind: EventKind, count: u64) {
        if let Some(witness) = &mut self.witness {
            witness.lost(kind, count);
        }
    }

    fn clock(&mut self, anchor: TimeAnchor) {
        if self.times == Times::Recorded {
            self.tracer.set_anchor(anchor);
        }
    }

    /// Stopped, or nobody takes the spans any more.
    fn is_closed(&self) -> bool {
        let no_one = self.failure.is_some() && self.destination.otlp.is_none();
        no_one || self.pace.is_stopped()
    }
}
