//! The way out: upcalls become spans, spans fill batches, batches go to their destinations.

use std::time::Instant;

use super::pace::Pace;
use crate::event::Event;
use crate::export::{BatchLimits, FileOutput, OutputError, SpanSender};
use crate::filter::UpcallFilter;
use crate::pipeline::Consumer;
use crate::ports::Ports;
use crate::trace::{SpanBatch, TimeAnchor, Tracer};
use crate::upcall::{Unmatched, Upcall};

/// Where batches go: to either or both.
#[derive(Debug, Default)]
pub struct Destination {
    /// An OTLP backend; a batch waits until there is room for it.
    pub otlp: Option<SpanSender>,
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
    /// Spans of these.
    pub spans: u64,
}

/// Makes traces of upcalls and sends them; see the module.
#[derive(Debug)]
pub struct Outlet {
    destination: Destination,
    tracer: Tracer,
    filter: UpcallFilter,
    limits: BatchLimits,
    pace: Pace,
    batch: SpanBatch,
    /// When the oldest span in the batch came.
    batch_since: Option<Instant>,
    totals: OutletTotals,
    failure: Option<OutputError>,
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
            batch: SpanBatch::default(),
            batch_since: None,
            totals: OutletTotals::default(),
            failure: None,
        }
    }

    /// The recording starts, or starts over: its times mean this from now on.
    pub fn restart(&mut self, anchor: TimeAnchor) {
        self.tracer.set_anchor(anchor);
        self.pace.restart();
    }

    /// Why the file takes no more; its spans since then count as failed.
    #[must_use]
    pub const fn failure(&self) -> Option<&OutputError> {
        self.failure.as_ref()
    }

    /// How far it is.
    #[must_use]
    pub const fn totals(&self) -> OutletTotals {
        self.totals
    }

    /// Sends what is left, and gives the destination back.
    pub fn finish(mut self) -> (Destination, OutletTotals, Option<OutputError>) {
        self.send();
        (self.destination, self.totals, self.failure)
    }

    fn send(&mut self) {
        self.batch_since = None;
        if self.batch.is_empty() {
            return;
        }
        let spans = self.batch.take();
        if let Some(file) = &mut self.destination.file
            && let Err(error) = file.write(&spans)
        {
            self.failure.get_or_insert(error);
        }
        if let Some(otlp) = &self.destination.otlp {
            // A closed exporter has counted the spans as failed: the replay was stopped.
            let _closed = otlp.blocking_send(spans);
        }
    }
}

impl Consumer for Outlet {
    fn event(&mut self, _: &Event<'_>, _: &Ports) {}

    fn upcall(&mut self, upcall: &Upcall<'_>, ports: &Ports) {
        self.totals.upcalls += 1;
        if !self.filter.passes(upcall, ports) {
            self.totals.filtered += 1;
            return;
        }
        if !self.pace.is_max() {
            self.pace.wait_for(upcall.last().ts);
        }
        let Some(traced) = self.tracer.trace(upcall, ports, &mut self.batch) else {
            self.totals.not_sampled += 1;
            return;
        };
        self.totals.traces += 1;
        self.totals.spans += traced.spans as u64;
        let since = *self.batch_since.get_or_insert_with(Instant::now);
        let (spans, bytes) = (self.batch.spans(), self.batch.len_bytes());
        if self.limits.should_cut(spans, bytes, since.elapsed()) {
            self.send();
        }
    }

    fn unmatched(&mut self, _: &Unmatched) {}
}
