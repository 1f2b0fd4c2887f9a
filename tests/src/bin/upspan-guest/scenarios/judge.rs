//! What was found, against what was.

use std::time::Duration;

use upspan::correlate::Config;
use upspan::event::EventKind;

use crate::found::{Found, FoundUpcall};
use crate::report::Report;
use crate::truth::{TrueUpcall, Truth};

/// By how much what the correlator takes for now may be ahead of an event: clocks differ between
/// CPUs, and a live capture says what time it is.
const SLACK: Duration = Duration::from_millis(100);

/// Whether the correlator has given up an upcall's `dp_upcall` before a thread read the packet. On a
/// machine that is busy, a vswitchd that was stopped may need that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenUp {
    No,
    Maybe,
    Yes,
}

impl GivenUp {
    fn of(upcall: &TrueUpcall) -> Self {
        let timeout = Duration::from_nanos(Config::live().timeout_ns);
        if upcall.waited + SLACK < timeout {
            Self::No
        } else if upcall.waited > timeout + SLACK {
            Self::Yes
        } else {
            Self::Maybe
        }
    }
}

/// The correlator has found what was, and nothing else: of recordings that lack nothing.
pub(super) fn joins(found: &Found, truth: &Truth, report: &mut Report) {
    let mut faults = Vec::new();
    for FoundUpcall { set, .. } in &found.upcalls {
        let Some(real) = truth.upcalls.get(&set[EventKind::RecvUpcall.name()]) else {
            faults.push(format!("{set:?} was not"));
            continue;
        };
        let is_right = match GivenUp::of(real) {
            GivenUp::No => real.set == *set,
            GivenUp::Maybe => real.set == *set || real.without_kernel() == *set,
            GivenUp::Yes => real.without_kernel() == *set,
        };
        if !is_right {
            let TrueUpcall { packet, set: real, waited, .. } = real;
            faults.push(format!("{packet}: {set:?} instead of {real:?}, after {waited:?}"));
        }
    }
    report.none("put together as they were", found.upcalls.len(), &faults);
    report.equal("as many as there were", found.upcalls.len(), truth.upcalls.len());
    report.say(format_args!("matches {:?}, unmatched {:?}", found.matches, found.unmatched));
}

/// Of this many upcalls the `dp_upcall` was given up: at least and at most.
pub(super) fn given_up(truth: &Truth) -> (usize, usize) {
    let count = |is: fn(GivenUp) -> bool| {
        truth.upcalls.values().filter(|upcall| is(GivenUp::of(upcall))).count()
    };
    (count(|given_up| given_up == GivenUp::Yes), count(|given_up| given_up != GivenUp::No))
}
