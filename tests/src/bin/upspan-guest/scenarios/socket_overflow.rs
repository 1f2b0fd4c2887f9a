//! vswitchd does not read for a moment: what the kernel cannot deliver becomes traces that say so.

use std::path::Path;

use anyhow::ensure;

use crate::capture::{Probes, Running};
use crate::network::{self, Lookups, sink};
use crate::report::Report;
use crate::traffic;
use crate::vswitchd::Stopped;
use crate::wait::{self, LIMIT};

/// Upcalls that must be lost.
const LOST: u64 = 200;

/// Floods that overflow any socket: its buffer holds some thousand upcalls.
const MOST_FLOODS: u16 = 20;

pub(super) fn run(upspan: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut probes = Probes::default();
    let mut run = Running::start(upspan, &[], &mut probes)?;
    let before = network::lookups()?;
    {
        let _stopped = Stopped::new()?;
        let mut floods = 0;
        while network::lookups()?.lost < before.lost + LOST {
            ensure!(floods < MOST_FLOODS, "the socket does not overflow");
            traffic::flood_part(floods)?;
            report.say(format_args!("{:?}", network::lookups()?));
            floods += 1;
        }
    }
    probes.traced(&mut run.traces)?;
    let after = network::lookups()?;
    let lost = after.lost - before.lost;
    let sent = after.missed - before.missed;
    report.say(format_args!("the kernel lost {lost} of {sent} upcalls"));
    let errors = wait::until("traces of what was lost", LIMIT, || {
        let errors = run.traces.update().iter().filter(|trace| trace.is_error()).count();
        Ok((errors as u64 >= lost).then_some(errors))
    });
    report.equal("traces of what was lost", errors.ok(), usize::try_from(lost).ok());
    let (mut traces, _) = run.stop(report)?;
    let ports = network::ports()?;
    let mut faults: Vec<String> = traces.update().iter().filter_map(|trace| trace.fault()).collect();
    report.none("shape of traces", traces.update().len(), &faults);
    faults.clear();
    let to = sink::FLOOD.to_string();
    for trace in traces.update().iter().filter(|trace| trace.is_error()) {
        let p1 = ports.iter().find(|(_, name)| name == "p1").map(|(number, _)| *number);
        let says_why = matches!(trace.string("error.type"), Some("EAGAIN" | "ENOBUFS"));
        let is_right = says_why
            && trace.int("ovs.port.number") == p1
            && trace.string("ovs.port.name") == Some("p1")
            && trace.string("destination.address") == Some(&to);
        if !is_right {
            faults.push(format!("{:?}", trace.root()));
        }
    }
    report.none("what the traces say", traces.update().len(), &faults);
    let Lookups { lost, .. } = after;
    let flood = traces.to(sink::FLOOD, 0).filter(|trace| !trace.is_error());
    let (read, complete) = flood.fold((0, 0), |(read, complete), trace| {
        (read + 1, complete + usize::from(trace.is_complete()))
    });
    report.equal("what was read is complete", complete, read);
    report.say(format_args!("{lost} were lost since the datapath was made"));
    Ok(())
}
