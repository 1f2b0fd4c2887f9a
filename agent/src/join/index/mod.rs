//! Spans of applications, found by connection and time, in bounded memory.

mod chains;
mod find;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;

use opentelemetry::trace::{SpanId, TraceId};
use serde::Serialize;

use self::chains::Chains;
pub use self::find::{Confidence, Found, Match};
use super::span::{AppSpan, Key, Side};

/// Spans of applications by connection and id.
///
/// Memory is bounded: when it is full, the span that ended first gives way. It is pure: time is an
/// input, in nanoseconds since the Unix epoch.
#[derive(Debug)]
pub struct SpanIndex {
    slots: Vec<Slot>,
    free: Vec<u32>,
    limit: usize,
    /// Which slot is to go first.
    by_end: BinaryHeap<(Reverse<u64>, u32)>,
    by_connection: Chains,
    by_id: Chains,
    /// Spans of servers whose connection is known, by their parents.
    by_parent: Chains,
    /// Random: nobody outside can choose spans whose hashes are the same.
    seed: foldhash::quality::RandomState,
    counts: IndexCounts,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    span: AppSpan,
    /// When it came.
    came: u64,
    id: u32,
    connection: Option<u32>,
    parent: Option<u32>,
}

/// What became of the spans that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IndexCounts {
    /// Were taken in.
    pub indexed: u64,
    /// Were there already: an application has sent them again.
    pub duplicates: u64,
    /// Gave way to others for want of memory, before their time.
    pub evicted: u64,
}

impl SpanIndex {
    /// Bytes of a span besides the chains, whose size comes in steps.
    const SLOT_BYTES: usize =
        size_of::<Slot>() + size_of::<u32>() + size_of::<(Reverse<u64>, u32)>();

    /// An index that takes at most about `bytes` of memory, and holds at least one span.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let fits = |spans: usize| spans * Self::SLOT_BYTES + 3 * Chains::bytes_of(spans) <= bytes;
        let most = bytes / Self::SLOT_BYTES;
        let (mut low, mut high) = (1, most.max(1));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        let limit = low.min(u32::MAX as usize - 1);
        Self {
            slots: Vec::with_capacity(limit),
            free: Vec::with_capacity(limit),
            limit,
            by_end: BinaryHeap::with_capacity(limit),
            by_connection: Chains::new(limit),
            by_id: Chains::new(limit),
            by_parent: Chains::new(limit),
            seed: foldhash::quality::RandomState::default(),
            counts: IndexCounts::default(),
        }
    }

    /// Spans that it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_end.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_end.is_empty()
    }

    /// Bytes that it takes, which stay the same.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.by_end.capacity() * size_of::<(Reverse<u64>, u32)>()
            + self.by_connection.bytes()
            + self.by_id.bytes()
            + self.by_parent.bytes()
    }

    /// What became of the spans so far.
    #[must_use]
    pub const fn counts(&self) -> IndexCounts {
        self.counts
    }

    /// Takes a span in, which came at `now`.
    pub fn insert(&mut self, span: AppSpan, now: u64) {
        if self.by_id(span.trace_id, span.span_id).is_some() {
            self.counts.duplicates += 1;
            return;
        }
        // A span that pretends to end in the future must not outlive all others.
        let end = span.time.end.min(now);
        if self.len() == self.limit {
            self.counts.evicted += 1;
            if self.by_end.peek().is_some_and(|&(Reverse(oldest), _)| oldest > end) {
                return;
            }
            self.remove_oldest();
        }
        self.counts.indexed += 1;
        let key = span.key();
        let is_claim = span.side == Side::Server
            && span.parent != SpanId::INVALID
            && matches!(key, Some(Key::Client(_)));
        let slot = Slot {
            span,
            came: now,
            id: self.hash_of_id(span.trace_id, span.span_id),
            connection: key.map(|key| self.hash_of_key(key)),
            parent: is_claim.then(|| self.hash_of_id(span.trace_id, span.parent)),
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_end.push((Reverse(end), at));
        self.by_id.insert(slot.id, at);
        if let Some(hash) = slot.connection {
            self.by_connection.insert(hash, at);
        }
        if let Some(hash) = slot.parent {
            self.by_parent.insert(hash, at);
        }
    }

    /// Lets go of spans that ended before `time`: nothing that is still to come was while they were
    /// open.
    pub fn expire(&mut self, time: u64) {
        while self.by_end.peek().is_some_and(|&(Reverse(end), _)| end < time) {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        let Some((_, at)) = self.by_end.pop() else { return };
        let Slot { id, connection, parent, .. } = self.slots[at as usize];
        self.by_id.remove(id, at);
        if let Some(hash) = connection {
            self.by_connection.remove(hash, at);
        }
        if let Some(hash) = parent {
            self.by_parent.remove(hash, at);
        }
        self.free.push(at);
    }

    fn by_id(&self, trace_id: TraceId, span_id: SpanId) -> Option<&AppSpan> {
        self.spans(&self.by_id, self.hash_of_id(trace_id, span_id))
            .find(|span| span.trace_id == trace_id && span.span_id == span_id)
    }

    fn spans<'a>(&'a self, chains: &'a Chains, hash: u32) -> impl Iterator<Item = &'a AppSpan> {
        chains.of(hash).map(|slot| &self.slots[slot as usize].span)
    }

    fn hash_of_id(&self, trace_id: TraceId, span_id: SpanId) -> u32 {
        self.seed.hash_one((trace_id, span_id)) as u32
    }

    fn hash_of_key(&self, key: Key) -> u32 {
        let hash = match key {
            Key::Client(socket) => self.seed.hash_one((1_u8, socket)),
            Key::Server(socket) => self.seed.hash_one((2_u8, socket)),
        };
        hash as u32
    }
}
