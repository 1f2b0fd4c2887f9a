//! The slowest upcalls, in bounded memory.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::waterfall::{Timeline, Waterfall};
use crate::event::Ordinal;
use crate::ports::Ports;
use crate::upcall::Upcall;

/// Keeps the upcalls that took longest; of equally long ones those that were read first.
#[derive(Debug)]
pub(super) struct Slowest {
    limit: usize,
    /// The one to give way first is on top.
    kept: BinaryHeap<Reverse<Candidate>>,
}

#[derive(Debug)]
struct Candidate {
    rank: Rank,
    timeline: Timeline,
}

/// Greater is slower.
type Rank = (u64, Reverse<Ordinal>);

impl Slowest {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, kept: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, upcall: &Upcall<'_>) {
        let rank = (upcall.duration_ns(), Reverse(upcall.recv.ordinal));
        if self.kept.len() >= self.limit {
            if self.kept.peek().is_none_or(|Reverse(least)| rank < least.rank) {
                return;
            }
            self.kept.pop();
        }
        self.kept.push(Reverse(Candidate { rank, timeline: Timeline::of(upcall) }));
    }

    /// The slowest first.
    pub(super) fn finish(self, ports: &Ports) -> Vec<Waterfall> {
        let kept = self.kept.into_sorted_vec();
        kept.into_iter().map(|Reverse(kept)| kept.timeline.with_names(ports)).collect()
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}
