//! The figures of a report. Their serialisation is the JSON report.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::counts::{EventCounts, KindCount, Tally};
use super::series::LatencySeries;
use super::stats::Distribution;
use super::waterfall::Waterfall;
use crate::event::{EventKind, Ordinal, Tid, Unusable};
use crate::per_kind::PerKind;
use crate::phases::PhaseKind;
use crate::ports::PortNo;
use crate::upcall::{MatchMethod, Missing, MissingReason, UnmatchedReason, Upcall};

/// All figures of a report.
///
/// Keys that end in `_us` are in microseconds, as upcall_cost.py has them; everything else is in
/// nanoseconds. `latency_us` has the values themselves, in the order of the `dp_upcall`s.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub(super) events: u64,
    pub(super) usable: u64,
    pub(super) upcalls: u64,
    pub(super) counts: PerKind<KindCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sets: Option<Vec<UpcallSet>>,
    pub(super) batch_sizes: Vec<u32>,
    pub(super) upcalls_per_thread: ByName<u64, String>,
    pub(super) latency_us: LatencySeries,
    pub(super) latency_ns: ByName<Distribution>,
    pub(super) upcall: Distribution,
    pub(super) phases: ByName<Distribution>,
    pub(super) per_port: Vec<PortSummary>,
    pub(super) per_thread: Vec<ThreadSummary>,
    pub(super) matches: BTreeMap<MatchMethod, u64>,
    pub(super) incomplete: Tally<MissingReason>,
    pub(super) unmatched: Tally<UnmatchedReason>,
    pub(super) unusable: Tally<Unusable>,
    pub(super) malformed_lines: u64,
    pub(super) accounting: Accounting,
    pub(super) slowest: Vec<Waterfall>,
}

impl Summary {
    /// Where the events went.
    #[must_use]
    pub const fn accounting(&self) -> &Accounting {
        &self.accounting
    }

    /// Number of upcalls, complete or not.
    #[must_use]
    pub const fn upcalls(&self) -> u64 {
        self.upcalls
    }

    /// The slowest upcalls, the slowest first.
    #[must_use]
    pub fn slowest(&self) -> &[Waterfall] {
        &self.slowest
    }
}

/// Where the events went: each is in exactly one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Accounting {
    /// Events read, those filtered out included.
    pub read: u64,
    /// Events that are part of an upcall; a `dp_upcall` that several segments of a GSO packet share
    /// counts once.
    pub in_upcalls: u64,
    /// Events that belong to no upcall.
    pub unmatched: u64,
    /// Events that say nothing that could be joined.
    pub unusable: u64,
    /// Events that the user did not want.
    pub filtered: u64,
    /// What is left, which is nothing unless there is a bug; negative if an event is in two places.
    pub unaccounted: i64,
}

impl Accounting {
    pub(super) fn new(counts: &EventCounts, in_upcalls: u64, unmatched: u64) -> Self {
        let filtered: u64 = counts.filtered.iter().map(|(_, count)| count).sum();
        let unusable = counts.unusable.total();
        let read = counts.kinds.iter().map(|(_, count)| count.total).sum::<u64>() + filtered;
        let placed = in_upcalls + unmatched + unusable + filtered;
        let unaccounted = read.wrapping_sub(placed).cast_signed();
        Self { read, in_upcalls, unmatched, unusable, filtered, unaccounted }
    }
}

/// Values by name, in an order that means something; serialises as a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ByName<T, N = &'static str>(pub(super) Vec<(N, T)>);

impl<T: Serialize, N: Serialize> Serialize for ByName<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The upcalls of a port.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PortSummary {
    pub(super) datapath: String,
    /// `None` where the kernel's side was not found and the flow key names no port.
    pub(super) port_number: Option<PortNo>,
    pub(super) port: Option<String>,
    pub(super) upcalls: u64,
    pub(super) incomplete: u64,
    /// Durations of its upcalls.
    pub(super) upcall: Distribution,
}

/// The upcalls of a thread.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ThreadSummary {
    pub(super) thread: String,
    pub(super) tid: Tid,
    pub(super) upcalls: u64,
    pub(super) incomplete: u64,
    pub(super) batches: u64,
    /// Durations of its upcalls.
    pub(super) upcall: Distribution,
}

/// One upcall: which events it is made of, how they were joined and what it took.
#[derive(Clone, Debug, Serialize)]
pub(super) struct UpcallSet {
    #[serde(serialize_with = "PerKind::serialize_known")]
    events: PerKind<Option<Ordinal>>,
    #[serde(rename = "match")]
    matched: Option<MatchMethod>,
    complete: bool,
    #[serde(serialize_with = "serialize_missing")]
    missing: Missing,
    #[serde(skip_serializing_if = "Option::is_none")]
    gso_segment: Option<u32>,
    #[serde(serialize_with = "serialize_phases")]
    phases_ns: [Option<u64>; PhaseKind::ALL.len()],
    overhead_ns: Option<i64>,
}

impl UpcallSet {
    pub(super) fn of(upcall: &Upcall<'_>) -> Self {
        Self {
            events: PerKind::from_fn(|kind| upcall.event(kind).map(|head| head.ordinal)),
            matched: upcall.kernel.as_ref().map(|kernel| kernel.matched),
            complete: upcall.is_complete(),
            missing: upcall.missing,
            gso_segment: upcall.kernel.as_ref().and_then(|kernel| kernel.gso_segment),
            phases_ns: PhaseKind::ALL
                .map(|kind| upcall.phase(kind).map(|phase| phase.duration_ns())),
            overhead_ns: upcall.overhead_ns(),
        }
    }

    /// By the first event, then by the `recv_upcall`.
    pub(super) fn order(&self) -> (Option<Ordinal>, Option<Ordinal>) {
        let recv = self.events[EventKind::RecvUpcall];
        (self.events[EventKind::DpUpcall].or(recv), recv)
    }
}

/// What is missing, as a map from kind to reason.
pub(super) fn serialize_missing<S: Serializer>(
    missing: &Missing,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(missing.iter())
}

/// The phases that were observed, by name.
fn serialize_phases<S: Serializer>(
    phases: &[Option<u64>; PhaseKind::ALL.len()],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let phases = PhaseKind::ALL.into_iter().zip(phases);
    serializer.collect_map(phases.filter_map(|(kind, ns)| Some((kind.name(), (*ns)?))))
}
