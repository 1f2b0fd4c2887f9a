//! Counts per kind of event.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::{EventKind, Unusable};
use crate::per_kind::PerKind;

/// How many times something happened, per kind of event and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Tally<R: Ord>(BTreeMap<EventKind, BTreeMap<R, u64>>);

impl<R: Ord> Default for Tally<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Ord + Copy> Tally<R> {
    pub(super) fn add(&mut self, kind: EventKind, reason: R) {
        *self.0.entry(kind).or_default().entry(reason).or_default() += 1;
    }

    /// What was counted, by kind and then by reason.
    pub fn iter(&self) -> impl Iterator<Item = (EventKind, R, u64)> + '_ {
        self.0.iter().flat_map(|(&kind, reasons)| {
            reasons.iter().map(move |(&reason, &count)| (kind, reason, count))
        })
    }

    /// The sum of all counts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, _, count)| count).sum()
    }
}

/// How many events of one kind a source gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindCount {
    /// Events that can be correlated.
    pub valid: u64,
    /// Events that were read: `valid` and the unusable ones, without those filtered out.
    pub total: u64,
    /// Events that the source says it lost; not part of `total`.
    pub miss: u64,
}

/// What a source gave: whoever reads it counts each record here, once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    pub(super) kinds: PerKind<KindCount>,
    pub(super) unusable: Tally<Unusable>,
    pub(super) filtered: PerKind<u64>,
    pub(super) malformed_lines: u64,
}

impl EventCounts {
    /// An event that goes to the correlator.
    pub fn usable(&mut self, kind: EventKind) {
        self.kinds[kind].valid += 1;
        self.kinds[kind].total += 1;
    }

    /// An event that says nothing that could be joined.
    pub fn unusable(&mut self, kind: EventKind, reason: Unusable) {
        self.kinds[kind].total += 1;
        self.unusable.add(kind, reason);
    }

    /// Events that the user does not want; they go neither to the correlator nor into
    /// [`KindCount::total`], as with upcall_cost.py's `--handler-filter`.
    pub fn filtered(&mut self, kind: EventKind, count: u64) {
        self.filtered[kind] += count;
    }

    /// Events that the source says it lost.
    pub fn lost(&mut self, kind: EventKind, count: u64) {
        let miss = &mut self.kinds[kind].miss;
        *miss = miss.saturating_add(count);
    }

    /// Events of all kinds that the source says it lost.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.kinds.iter().map(|(_, count)| count.miss).fold(0, u64::saturating_add)
    }

    /// Lines that could not be read.
    pub fn malformed_lines(&mut self, count: u64) {
        self.malformed_lines += count;
    }
}
