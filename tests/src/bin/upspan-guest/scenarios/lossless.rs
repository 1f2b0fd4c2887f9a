//! Traffic of every kind at a rate that nothing is lost at: all upcalls are complete, put together
//! as they really were, and arrive as traces.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use upspan::event::{EventKind, MonotonicNs};

use super::{Place, judge};
use crate::capture::{Probes, Recorder, Running};
use crate::command::run as command;
use crate::found::{Found, FoundUpcall};
use crate::mark::Traffic;
use crate::network::{self, sink};
use crate::report::Report;
use crate::traces::{Trace, Traces};
use crate::traffic::{self, Expected, Upcalls};
use crate::truth::{Cause, Event, Events, TrueUpcall, Truth, What};

/// A trace must be there after so long. On metal it takes a fraction of a second.
const PROMPT: Duration = Duration::from_secs(5);

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut probes = Probes::default();
    let mut run = Running::start(place.upspan, &[], &mut probes)?;
    let recording = place.out.join("lossless.upspan");
    let record = Recorder::start(place.upspan, &recording, &[], &mut probes)?;
    prompt(&mut probes, &mut run.traces, report)?;
    let first = probes.traced(&mut run.traces)?;

    let (earlier, before, started) = (now(), network::lookups()?, now());
    let expected = traffic::everything(report)?;
    let (ended, after, later) = (now(), network::lookups()?, now());
    report.equal("datapath lost none", after.lost, before.lost);
    skipped_programs(report)?;
    // What was sent before has arrived when this has.
    let last = probes.traced(&mut run.traces)?;
    let (mut traces, _) = run.stop(report)?;
    let events = record.stop(report)?;
    report.equal("nothing lost", events.lost(), 0);
    let truth = Truth::of(&events);
    report.none("every dp_upcall was read", events.all.len(), &truth.not_delivered);
    report.say(format_args!("{} events, {} upcalls", events.all.len(), truth.upcalls.len()));
    let seen = |time: Range<MonotonicNs>| {
        let is_miss = |event: &&Event| {
            time.contains(&event.head.ts)
                && matches!(event.what, What::DpUpcall { of: Cause::Miss, .. })
        };
        events.of(EventKind::DpUpcall).filter(is_miss).count() as u64
    };
    // The kernel was asked for its count between two of these instants each.
    let (least, most) = (seen(started..ended), seen(earlier..later));
    let missed = after.missed - before.missed;
    let detail = format_args!("{missed}, of which {least} to {most} were seen");
    report.check("misses that the kernel counts", (least..=most).contains(&missed), detail);
    counts(&expected, &truth, report)?;
    let found = Found::read(&recording)?;
    judge::joins(&found, &truth, report);
    let segments = found.upcalls.iter().filter(|upcall| upcall.is_segment).count();
    report.check("segments of super-packets", segments > 0, segments);
    let executed =
        truth.marked(Traffic::Dropped).filter(|upcall| upcall.has(EventKind::OpFlowExecute));
    // From Open vSwitch 3.5 on a kernel from 6.12 on: they have an action `drop`.
    report.say(format_args!("{} of the dropped ones were executed", executed.count()));
    complete(&found, &events, started..ended, report);
    let traces: Vec<&Trace> = traces
        .update()
        .iter()
        .filter(|trace| trace.start().is_some_and(|start| (first..last).contains(&start)))
        .collect();
    spans(&traces, &truth, report)
}

/// On the clock of the events.
fn now() -> MonotonicNs {
    let now = clock_gettime(ClockId::Monotonic);
    MonotonicNs(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
}

/// The kernel does not run a program while another one runs on the same CPU; newer ones count it.
fn skipped_programs(report: &Report) -> anyhow::Result<()> {
    let programs = command("bpftool prog list")?;
    let skipped: Vec<&str> =
        programs.lines().filter(|line| line.contains("recursion_misses")).map(str::trim).collect();
    report.say(format_args!("programs that the kernel skipped: {skipped:?}"));
    Ok(())
}

/// How soon a trace arrives, measured a few times.
fn prompt(probes: &mut Probes, traces: &mut Traces, report: &mut Report) -> anyhow::Result<()> {
    const TIMES: u16 = 5;
    let mut slowest = Duration::ZERO;
    for _ in 0..TIMES {
        let sent = Instant::now();
        probes.traced(traces)?;
        slowest = slowest.max(sent.elapsed());
    }
    let detail = format!("the slowest of {TIMES} traces arrived after {} ms", slowest.as_millis());
    report.check("prompt", slowest <= PROMPT, detail);
    Ok(())
}

/// As many upcalls of each kind as there must be.
fn counts(expected: &[Expected], truth: &Truth, report: &mut Report) -> anyhow::Result<()> {
    let ports = network::ports()?;
    let name = |number: u32| {
        let port = ports.iter().find(|(other, _)| *other == i64::from(number));
        port.map_or("?", |(_, name)| name.as_str())
    };
    let mut found: BTreeMap<(Traffic, Cause, &str), usize> = BTreeMap::new();
    for upcall in truth.upcalls.values() {
        if let (Some(mark), Some(port)) = (upcall.packet.mark(), upcall.port) {
            *found.entry((mark.traffic, upcall.of, name(port.0))).or_default() += 1;
        }
    }
    for &Expected { traffic, of, port, upcalls } in expected {
        let found = found.get(&(traffic, of, port)).copied().unwrap_or(0);
        let holds = match upcalls {
            Upcalls::Exactly(count) => found == count,
            Upcalls::AtLeast(count) => found >= count,
        };
        let name = match of {
            Cause::Miss => format!("{traffic:?} at {port}"),
            Cause::Action => format!("{traffic:?} at {port}, again by its action"),
        };
        report.check(&name, holds, format_args!("{found} upcalls, {upcalls:?}"));
    }
    Ok(())
}

/// Nothing is missing of what was captured from its beginning to its end.
fn complete(found: &Found, events: &Events, time: Range<MonotonicNs>, report: &mut Report) {
    let times: HashMap<u64, MonotonicNs> =
        events.all.iter().map(|event| (event.head.ordinal.0, event.head.ts)).collect();
    let in_time = |upcall: &&FoundUpcall| {
        let recv = upcall.set[EventKind::RecvUpcall.name()];
        times.get(&recv).is_some_and(|at| time.contains(at))
    };
    let all: Vec<&FoundUpcall> = found.upcalls.iter().filter(in_time).collect();
    let incomplete: Vec<String> = all
        .iter()
        .filter(|upcall| !upcall.missing.is_empty())
        .map(|FoundUpcall { set, missing, .. }| {
            format!("{set:?} lacks {:?}", missing.iter().collect::<Vec<_>>())
        })
        .collect();
    report.none("complete", all.len(), &incomplete);
}

/// The traces are what they should be.
fn spans(traces: &[&Trace], truth: &Truth, report: &mut Report) -> anyhow::Result<()> {
    let ports = network::ports()?;
    let mut faults: Vec<String> = traces.iter().filter_map(|trace| trace.fault()).collect();
    report.none("shape of traces", traces.len(), &faults);
    faults.clear();
    for trace in traces {
        let (number, name) = (trace.int("ovs.port.number"), trace.string("ovs.port.name"));
        let is_right =
            ports.iter().any(|(n, right)| Some(*n) == number && Some(right.as_str()) == name);
        if !is_right {
            faults.push(format!("port {number:?} is called {name:?}"));
        }
        if trace.string("ovs.datapath.name") != Some("ovs-system") {
            faults.push(format!("datapath {:?}", trace.string("ovs.datapath.name")));
        }
    }
    report.none("ports of traces", traces.len(), &faults);
    let incomplete: Vec<String> =
        traces.iter().filter(|trace| !trace.is_complete()).map(ToString::to_string).collect();
    report.none("traces are complete", traces.len(), &incomplete);
    let to_udp = |to: &str| {
        let is_it = |trace: &&&Trace| {
            trace.string("destination.address") == Some(to)
                && trace.string("network.transport") == Some("udp")
        };
        traces.iter().filter(is_it).count()
    };
    for (to, traffic, port) in [
        (sink::VLAN, Traffic::Vlan, "p1"),
        (sink::CONNTRACK, Traffic::Conntrack, "p1"),
        (sink::DROPPED, Traffic::Dropped, "p1"),
        (sink::PLAIN6, Traffic::Udp6, "p3"),
    ] {
        let port_number = ports.iter().find(|(_, name)| name == port).map(|(number, _)| *number);
        let at_port = |upcall: &&TrueUpcall| upcall.port.map(|port| port.0.into()) == port_number;
        let upcalls = truth.marked(traffic).filter(at_port).count();
        report.equal(&format!("traces of {traffic:?}"), to_udp(&to.to_string()), upcalls);
    }
    Ok(())
}
