//! An upcall as a waterfall, as the report has it.

use std::fmt;

use upspan_proto::v1;

use super::{event_kind, short};
use crate::event::{MonotonicNs, Ordinal, Tid};
use crate::per_kind::PerKind;
use crate::phases::PhaseKind;
use crate::ports::PortNo;
use crate::report::terminal::{cut, plain};
use crate::report::waterfall::{Bar, Waterfall};
use crate::upcall::{Missing, MissingReason};

/// An upcall, to be printed as several lines of at most so many columns, the last one without its
/// end. Phases that this version does not know are left out.
#[must_use]
pub fn waterfall(upcall: &v1::Upcall, width: usize) -> Shown {
    match &upcall.failure {
        Some(failure) => Shown(failed(upcall, failure, width)),
        None => Shown(report(upcall).display(width).to_string()),
    }
}

/// Lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(String);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn report(upcall: &v1::Upcall) -> Waterfall {
    let mut events = PerKind::default();
    for event in &upcall.events {
        if let Some(kind) = event_kind(event.kind()) {
            events[kind] = Some(Ordinal(event.ordinal));
        }
    }
    let mut missing = Missing::default();
    for event in &upcall.missing {
        let reason = MissingReason::ALL.into_iter().find(|known| known.name() == event.reason);
        if let (Some(kind), Some(reason)) = (event_kind(event.kind()), reason) {
            missing.set(kind, reason);
        }
    }
    let bar = |phase: &v1::Phase| {
        let known = PhaseKind::ALL.into_iter().find(|known| known.name() == phase.name)?;
        Some(Bar { phase: known, offset_ns: phase.offset_ns, duration_ns: phase.duration_ns })
    };
    let batch = upcall.batch.unwrap_or_default();
    Waterfall {
        start: MonotonicNs(upcall.start_monotonic_ns),
        duration_ns: upcall.duration_ns,
        datapath: upcall.datapath.clone(),
        port_number: upcall.port_number.map(PortNo),
        port: Some(upcall.port_name.clone()).filter(|name| !name.is_empty()),
        packet: upcall.packet.as_ref().map_or_else(String::new, |packet| packet.summary.clone()),
        thread: upcall.thread_name.clone(),
        tid: Tid(upcall.thread_id),
        batch_size: batch.size,
        batch_index: batch.index,
        matched: crate::api::message::method(upcall.match_method()),
        events,
        missing,
        phases: upcall.phases.iter().filter_map(bar).collect(),
    }
}

fn failed(upcall: &v1::Upcall, failure: &v1::Failure, width: usize) -> String {
    let waterfall = report(upcall);
    let title = waterfall.display(width).to_string();
    let title = title.lines().next().unwrap_or_default();
    let v1::Failure { errno, message } = failure;
    let why =
        format!("  not delivered after {}: {message} (errno {errno})", short(upcall.duration_ns));
    format!("{title}\n{}", cut(&plain(why.into()), width))
}
