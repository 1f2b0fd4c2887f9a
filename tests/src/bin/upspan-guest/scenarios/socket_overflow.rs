//! vswitchd does not read for a moment: what the kernel cannot deliver becomes traces that say so.

use anyhow::ensure;

use super::{Place, judge};
use crate::capture::{Probes, Recorder, Running};
use crate::found::Found;
use crate::network;
use crate::process::Stopped;
use crate::report::Report;
use crate::traces::Trace;
use crate::traffic;
use crate::truth::Truth;
use crate::vswitchd;
use crate::wait::{self, LIMIT};

/// Pages of the ring buffer: enough for what vswitchd does once it reads again.
const RING: &str = "16384";

/// Spans that may wait for the backend: all of them, as it is slow here.
const QUEUE: &str = "262144";

/// Upcalls that must be lost.
const LOST: u64 = 200;

/// Floods that overflow any socket: its buffer holds some thousand upcalls.
const MOST_FLOODS: u16 = 20;

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut probes = Probes::default();
    let more = ["--buffer-page-count", RING, "--queue-spans", QUEUE];
    let mut run = Running::start(place.upspan, &more, &mut probes)?;
    let recording = place.out.join("socket-overflow.upspan");
    let more = ["--buffer-page-count", RING];
    let record = Recorder::start(place.upspan, &recording, &more, &mut probes)?;
    let before = network::lookups()?;
    {
        let _stopped = Stopped::new(vswitchd::pid()?)?;
        let mut floods = 0;
        while network::lookups()?.lost < before.lost + LOST {
            ensure!(floods < MOST_FLOODS, "the socket does not overflow");
            traffic::flood_part(floods)?;
            floods += 1;
        }
    }
    probes.traced(&mut run.traces)?;
    // As long as it goes on, so do the counts.
    let (mut lost, mut errors) = (0, 0);
    let all = wait::until("a trace of every upcall", LIMIT, || {
        let after = network::lookups()?;
        lost = after.lost - before.lost;
        let traces = run.traces.update();
        errors = traces.iter().filter(|trace| trace.is_error()).count() as u64;
        Ok((traces.len() as u64 >= after.missed - before.missed).then_some(()))
    });
    let detail = format!(
        "{} traces, {}",
        run.traces.update().len(),
        all.as_ref().map_or_else(|error| error.to_string(), |()| "all".to_owned())
    );
    report.check("a trace of every upcall", all.is_ok(), detail);
    report.equal("traces of what was lost", errors, lost);
    let (mut traces, _) = run.stop(report)?;
    let ports = network::ports()?;
    let traces = traces.update();
    let mut faults: Vec<String> = traces.iter().filter_map(Trace::fault).collect();
    report.none("shape of traces", traces.len(), &faults);
    faults.clear();
    let errors = || traces.iter().filter(|trace| trace.is_error());
    for trace in errors() {
        let (number, name) = (trace.int("ovs.port.number"), trace.string("ovs.port.name"));
        let port = ports.iter().find(|(other, _)| Some(*other) == number);
        let named = port.is_some_and(|(_, right)| Some(right.as_str()) == name);
        let says_why = matches!(trace.string("error.type"), Some("EAGAIN" | "ENOBUFS"));
        if !named || !says_why {
            faults.push(trace.to_string());
        }
    }
    report.none("what the traces say", errors().count(), &faults);
    let events = record.stop(report)?;
    report.equal("nothing lost", events.lost(), 0);
    let truth = Truth::of(&events);
    judge::joins(&Found::read(&recording)?, &truth, report);
    let (given_up, other): (Vec<&Trace>, Vec<&Trace>) = traces
        .iter()
        .filter(|trace| !trace.is_error() && !trace.is_complete())
        .partition(|trace| trace.lacks_only("dp_upcall"));
    report.none("what was read is complete", traces.len(), &other);
    let (least, most) = judge::given_up(&truth);
    let detail = format_args!("{} traces, {least} to {most} upcalls", given_up.len());
    report.check(
        "but for what was read too late",
        (least..=most).contains(&given_up.len()),
        detail,
    );
    Ok(())
}
