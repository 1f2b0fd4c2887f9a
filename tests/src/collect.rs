//! Runs a recording through the library and keeps every upcall.

use std::collections::BTreeMap;
use std::path::Path;

use upspan::correlate::Config;
use upspan::event::{Event, EventKind};
use upspan::pipeline::{self, Consumer};
use upspan::ports::Ports;
use upspan::source::input::Input;
use upspan::source::recording::{Options, Recording};
use upspan::upcall::{FailedUpcall, MatchMethod, Unmatched, UnmatchedReason, Upcall};

use crate::fixtures::Set;

/// What the correlator found.
#[derive(Debug, Default)]
pub struct Collected {
    /// Every upcall, in the order of their `recv_upcall`s.
    pub sets: Vec<Set>,
    /// How often each method matched kernel and thread.
    pub matches: BTreeMap<MatchMethod, usize>,
    /// Upcalls that are segments of a GSO super-packet.
    pub gso_segments: usize,
    /// Upcalls from which nothing is missing.
    pub complete: usize,
    /// Events of no upcall.
    pub unmatched: BTreeMap<(EventKind, UnmatchedReason), u64>,
}

impl Consumer for Collected {
    fn event(&mut self, _: &Event<'_>, _: &Ports) {}

    fn upcall(&mut self, upcall: &Upcall<'_>, _: &Ports) {
        let ordinal =
            |kind: EventKind| Some((kind.name().to_owned(), upcall.event(kind)?.ordinal.0));
        self.sets.push(EventKind::ALL.into_iter().filter_map(ordinal).collect());
        self.complete += usize::from(upcall.is_complete());
        if let Some(kernel) = &upcall.kernel {
            *self.matches.entry(kernel.matched).or_default() += 1;
            self.gso_segments += usize::from(kernel.gso_segment.is_some());
        }
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>, _: &Ports) {
        let (kind, reason) = (EventKind::DpUpcall, UnmatchedReason::NotDelivered);
        self.unmatched(&Unmatched { kind, head: failed.head, reason });
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        *self.unmatched.entry((unmatched.kind, unmatched.reason)).or_default() += 1;
    }
}

/// Correlates a recording.
///
/// # Panics
/// If it cannot be read, or has malformed lines.
#[must_use]
pub fn collect(path: &Path) -> Collected {
    let options = Options { strict: true, ..Options::default() };
    let mut recording = Recording::open(&Input::from(path), options).expect("it opens");
    let mut collected = Collected::default();
    pipeline::run(&mut recording, Config::default(), &mut collected, |_| true).expect("it reads");
    collected.sets.sort_by_key(|set| set["recv_upcall"]);
    collected
}
