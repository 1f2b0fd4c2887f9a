//! vswitchd does not read for a moment: what the kernel cannot deliver becomes traces that say so.

use anyhow::ensure;

use super::Place;
use crate::capture::{Probes, Running};
use crate::network::{self, sink};
use crate::report::Report;
use crate::traces::Traces;
use crate::traffic;
use crate::vswitchd::Stopped;
use crate::wait::{self, LIMIT};

/// Pages of the ring buffer: enough for what vswitchd does once it reads again.
const RING: &str = "16384";

/// Upcalls that must be lost.
const LOST: u64 = 200;

/// Floods that overflow any socket: its buffer holds some thousand upcalls.
const MOST_FLOODS: u16 = 20;

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut probes = Probes::default();
    let mut run = Running::start(place.upspan, &["--buffer-page-count", RING], &mut probes)?;
    let before = network::lookups()?;
    {
        let _stopped = Stopped::new()?;
        let mut floods = 0;
        while network::lookups()?.lost < before.lost + LOST {
            ensure!(floods < MOST_FLOODS, "the socket does not overflow");
            traffic::flood_part(floods)?;
            floods += 1;
        }
    }
    probes.traced(&mut run.traces)?;
    let after = network::lookups()?;
    let lost = after.lost - before.lost;
    let sent = after.missed - before.missed;
    report.say(format_args!("the kernel lost {lost} of {sent} upcalls"));
    let count = |traces: &mut Traces| {
        let errors = traces.update().iter().filter(|trace| trace.is_error()).count() as u64;
        (errors, traces.update().len() as u64 - errors)
    };
    let all = wait::until("traces of everything that was sent", LIMIT, || {
        let (errors, others) = count(&mut run.traces);
        Ok((errors >= lost && others >= sent - lost).then_some(()))
    });
    report.check("a trace of everything that was sent", all.is_ok(), format_args!("{sent}"));
    report.equal("traces of what was lost", count(&mut run.traces).0, lost);
    let (mut traces, _) = run.stop(report)?;
    let ports = network::ports()?;
    let mut faults: Vec<String> =
        traces.update().iter().filter_map(|trace| trace.fault()).collect();
    report.none("shape of traces", traces.update().len(), &faults);
    faults.clear();
    let sinks = [sink::FLOOD, sink::PROBES].map(|sink| sink.to_string());
    for trace in traces.update().iter().filter(|trace| trace.is_error()) {
        let p1 = ports.iter().find(|(_, name)| name == "p1").map(|(number, _)| *number);
        let says_why = matches!(trace.string("error.type"), Some("EAGAIN" | "ENOBUFS"));
        let is_right = says_why
            && trace.int("ovs.port.number") == p1
            && trace.string("ovs.port.name") == Some("p1")
            && sinks.iter().any(|to| trace.string("destination.address") == Some(to));
        if !is_right {
            faults.push(format!("{:?}", trace.root()));
        }
    }
    report.none("what the traces say", traces.update().len(), &faults);
    let flood = traces.to(sink::FLOOD, 0).filter(|trace| !trace.is_error());
    let (read, complete) = flood.fold((0, 0), |(read, complete), trace| {
        (read + 1, complete + usize::from(trace.is_complete()))
    });
    report.equal("what was read is complete", complete, read);
    Ok(())
}
