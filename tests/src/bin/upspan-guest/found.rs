//! What the correlator makes of a recording.

use std::collections::BTreeMap;
use std::path::Path;

use upspan::correlate::Config;
use upspan::event::{Event, EventKind};
use upspan::pipeline::{self, Consumer};
use upspan::ports::Ports;
use upspan::source::input::Input;
use upspan::source::recording::{Options, Recording};
use upspan::upcall::{FailedUpcall, MatchMethod, Missing, Unmatched, UnmatchedReason, Upcall};
use upspan_tests::fixtures::Set;

/// An upcall as it was found.
#[derive(Clone, Debug)]
pub(crate) struct FoundUpcall {
    /// Ordinals of its events, by the names of their kinds.
    pub(crate) set: Set,
    pub(crate) missing: Missing,
    pub(crate) is_segment: bool,
}

impl FoundUpcall {
    /// Whether it has an event of this kind.
    pub(crate) fn has(&self, kind: EventKind) -> bool {
        self.set.contains_key(kind.name())
    }
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) upcalls: Vec<FoundUpcall>,
    pub(crate) matches: BTreeMap<MatchMethod, usize>,
    pub(crate) unmatched: BTreeMap<(EventKind, UnmatchedReason), usize>,
}

impl Found {
    /// In a recording.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let options = Options { strict: true, ..Options::default() };
        let mut recording = Recording::open(&Input::from(path), options)?;
        let mut found = Self::default();
        pipeline::run(&mut recording, Config::live(), &mut found, |_| true)?;
        Ok(found)
    }
}

impl Consumer for Found {
    fn event(&mut self, _: &Event<'_>, _: &Ports) {}

    fn upcall(&mut self, upcall: &Upcall<'_>, _: &Ports) {
        let ordinal =
            |kind: EventKind| Some((kind.name().to_owned(), upcall.event(kind)?.ordinal.0));
        if let Some(kernel) = &upcall.kernel {
            *self.matches.entry(kernel.matched).or_default() += 1;
        }
        self.upcalls.push(FoundUpcall {
            set: EventKind::ALL.into_iter().filter_map(ordinal).collect(),
            missing: upcall.missing,
            is_segment: upcall.kernel.is_some_and(|kernel| kernel.gso_segment.is_some()),
        });
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>, _: &Ports) {
        let (kind, reason) = (EventKind::DpUpcall, UnmatchedReason::NotDelivered);
        self.unmatched(&Unmatched { kind, head: failed.head, reason });
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        *self.unmatched.entry((unmatched.kind, unmatched.reason)).or_default() += 1;
    }
}
