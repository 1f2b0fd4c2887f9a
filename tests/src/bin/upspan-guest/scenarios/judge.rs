//! What was found, against what was.

use upspan::event::EventKind;

use crate::found::{Found, FoundUpcall};
use crate::report::Report;
use crate::truth::{TrueUpcall, Truth};

/// The correlator has found what was, and nothing else: of recordings that lack nothing.
pub(super) fn joins(found: &Found, truth: &Truth, report: &mut Report) {
    let mut faults = Vec::new();
    for FoundUpcall { set, .. } in &found.upcalls {
        match truth.upcalls.get(&set[EventKind::RecvUpcall.name()]) {
            Some(upcall) if upcall.set == *set => {}
            Some(TrueUpcall { packet, set: real, .. }) => {
                faults.push(format!("{packet}: {set:?} instead of {real:?}"));
            }
            None => faults.push(format!("{set:?} was not")),
        }
    }
    report.none("put together as they were", found.upcalls.len(), &faults);
    report.equal("as many as there were", found.upcalls.len(), truth.upcalls.len());
    report.say(format_args!("matches {:?}, unmatched {:?}", found.matches, found.unmatched));
}
