//! A flood into a ring buffer that is too small for it: nothing is put together wrongly, and what is
//! missing is said to be.
//!
//! A second recorder, with a ring that is big enough, sees everything: that is the truth.

use std::collections::HashMap;

use upspan::event::EventKind;

use super::Place;
use crate::capture::{Probes, Recorder, Running};
use crate::found::Found;
use crate::network;
use crate::process::Stopped;
use crate::report::Report;
use crate::traffic;
use crate::truth::{self, Events, Truth};

/// Pages of the ring buffers: the least that there can be, and far more than is needed.
const SMALL: &str = "16";
const LARGE: &str = "16384";

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut probes = Probes::default();
    let [whole_path, part_path] =
        ["whole", "part"].map(|name| place.out.join(format!("overload-{name}.upspan")));
    let whole =
        Recorder::start(place.upspan, &whole_path, &["--buffer-page-count", LARGE], &mut probes)?;
    let part =
        Recorder::start(place.upspan, &part_path, &["--buffer-page-count", SMALL], &mut probes)?;
    let mut run = Running::start(place.upspan, &["--buffer-page-count", SMALL], &mut probes)?;
    let before = network::lookups()?;
    {
        // Nobody empties the small rings, so they overflow for certain.
        let _stopped = [Stopped::new(part.pid())?, Stopped::new(run.agent.pid())?];
        traffic::flood_part(0)?;
    }
    for part in 1..traffic::FLOOD_PARTS {
        traffic::flood_part(part)?;
    }
    let after = network::lookups()?;
    report.say(format_args!("the kernel lost {} upcalls", after.lost - before.lost));
    // The ring is empty again, so that the end is recorded.
    probes.traced(&mut run.traces)?;
    let (mut traces, ended) = run.stop(report)?;
    let part = part.stop(report)?;
    let whole = whole.stop(report)?;

    report.equal("the large ring lost nothing", whole.lost(), 0);
    report.check(
        "the small ring lost events",
        part.lost() > 0,
        format_args!("{} of {}", part.lost(), whole.all.len()),
    );
    account(&part, &whole, report);
    let truth = Truth::of(&whole);
    let aligned = truth::align(&part, &whole)?;
    joins(&Found::read(&part_path)?, &truth, &aligned, report);

    let warned = ended.said.iter().any(|line| line.contains("events were lost"));
    report.check("run says that events were lost", warned, ended.said.join(" | "));
    let traces = traces.update();
    let faults: Vec<String> = traces.iter().filter_map(|trace| trace.fault()).collect();
    report.none("shape of traces", traces.len(), &faults);
    let unexplained: Vec<String> = traces
        .iter()
        .filter(|trace| !trace.is_complete() && !trace.is_error() && !trace.says_what_is_missing())
        .map(ToString::to_string)
        .collect();
    report.none("incomplete traces say what is missing", traces.len(), &unexplained);
    Ok(())
}

/// Recorded and lost events are all events.
fn account(part: &Events, whole: &Events, report: &mut Report) {
    let Some((first, last)) = part.all.first().zip(part.all.last()) else { return };
    // The first and last ones may have been seen by only one of the two, a moment earlier or later.
    let within = first.head.ts..=last.head.ts;
    for kind in EventKind::ALL {
        let recorded = part.of(kind).count() as u64 + part.lost[kind.index()];
        let all = whole.of(kind).filter(|event| within.contains(&event.head.ts)).count() as u64;
        let detail = format_args!("{recorded} recorded or lost, {all} in all");
        report.check(&format!("{kind} is accounted for"), recorded.abs_diff(all) <= 2, detail);
    }
}

/// What was found is a part of what was, and says what it lacks.
fn joins(found: &Found, truth: &Truth, aligned: &HashMap<u64, u64>, report: &mut Report) {
    let (mut wrong, mut unexplained) = (Vec::new(), Vec::new());
    let mut complete = 0;
    for upcall in &found.upcalls {
        complete += usize::from(upcall.missing.is_empty());
        let recv = upcall.set[EventKind::RecvUpcall.name()];
        let Some(real) = aligned.get(&recv).and_then(|recv| truth.upcalls.get(recv)) else {
            continue;
        };
        for kind in EventKind::ALL {
            let is = upcall.set.get(kind.name());
            let should_be = real.set.get(kind.name());
            match (is.map(|ordinal| aligned.get(ordinal)), should_be) {
                // At an edge of the recording.
                (Some(None), _) | (None, None) => {}
                (Some(Some(is)), should_be) if Some(is) == should_be => {}
                (Some(is), _) => {
                    wrong.push(format!("{}: {kind} {is:?} instead of {should_be:?}", real.packet));
                }
                // Without execute there is none in the kernel either.
                (None, Some(_)) => {
                    let of = match kind {
                        EventKind::OvsPktExec if !upcall.has(EventKind::OpFlowExecute) => {
                            EventKind::OpFlowExecute
                        }
                        kind => kind,
                    };
                    if upcall.missing.reason(of).is_none() {
                        unexplained.push(format!("{}: {kind} of {:?}", real.packet, upcall.set));
                    }
                }
            }
        }
    }
    report.none("none is put together wrongly", found.upcalls.len(), &wrong);
    report.none("what is missing is said", found.upcalls.len(), &unexplained);
    report.say(format_args!("{complete} of {} are complete", found.upcalls.len()));
    report.say(format_args!("matches {:?}, unmatched {:?}", found.matches, found.unmatched));
}
