//! Traffic of every kind, recorded in the format of upcall_cost.py. The guest has no Python: what
//! the script makes of it is for whoever started the guest to see (`upspan-same-counts`).

use upspan::event::EventKind;

use super::Place;
use crate::capture::{Probes, Recorder};
use crate::report::Report;
use crate::traffic;

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut probes = Probes::default();
    let recording = place.out.join("script.events");
    let more = ["--record-format", "script"];
    let record = Recorder::start(place.upspan, &recording, &more, &mut probes)?;
    traffic::everything(report)?;
    let events = record.stop(report)?;
    for kind in EventKind::ALL {
        let count = events.of(kind).count();
        report.check(&format!("{kind} was recorded"), count > 0, count);
    }
    report.equal("nothing lost", events.lost(), 0);
    Ok(())
}
