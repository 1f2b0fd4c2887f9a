//! Writes what passes the outlet into the ring.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::ring::Ring;
use crate::event::{Event, EventKind};
use crate::per_kind::PerKind;
use crate::ports::Ports;
use crate::replay::{Passed, Witness};
use crate::upcall::{FailedUpcall, Unmatched, Upcall};

/// What the pipeline writes, and clients read.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ring: Ring,
    pub(super) events: Counts,
    pub(super) lost: Counts,
    pub(super) unmatched: AtomicU64,
    /// Nothing more will be written.
    pub(super) ended: CancellationToken,
}

impl Shared {
    pub(super) fn new(history: usize) -> Self {
        Self {
            ring: Ring::new(history),
            events: Counts::default(),
            lost: Counts::default(),
            unmatched: AtomicU64::new(0),
            ended: CancellationToken::new(),
        }
    }
}

/// Counts of events, which one thread writes.
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; EventKind::ALL.len()]);

impl Counts {
    fn add(&self, kind: EventKind, count: u64) {
        add(&self.0[kind.index()], count);
    }

    pub(super) fn get(&self) -> PerKind<u64> {
        PerKind::from_fn(|kind| self.0[kind.index()].load(Relaxed))
    }
}

/// As there is one writer, this need not be atomic in one go.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed).saturating_add(count), Relaxed);
}

/// The end of the API that belongs to the pipeline: a [`Witness`] of the outlet. Without
/// allocations, locks that are held for long, or anything else that could take time. When it is
/// dropped, nothing more comes, and the streams end.
#[derive(Debug)]
pub struct Recorder(Arc<Shared>);

impl Recorder {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    fn write(&self, mut entry: Entry, passed: Passed) {
        Passed { trace_id: entry.trace_id, anchor: entry.anchor } = passed;
        entry.lost = self.0.lost.get();
        self.0.ring.write(entry);
    }
}

impl Witness for Recorder {
    fn event(&mut self, event: &Event<'_>) {
        self.0.events.add(event.kind(), 1);
    }

    fn upcall(&mut self, upcall: &Upcall<'_>, ports: &Ports, passed: Passed) {
        self.write(Entry::handled(upcall, ports), passed);
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>, ports: &Ports, passed: Passed) {
        self.write(Entry::failed(failed, ports), passed);
    }

    fn unmatched(&mut self, _: &Unmatched) {
        add(&self.0.unmatched, 1);
    }

    fn lost(&mut self, kind: EventKind, count: u64) {
        self.0.lost.add(kind, count);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.ended.cancel();
    }
}
