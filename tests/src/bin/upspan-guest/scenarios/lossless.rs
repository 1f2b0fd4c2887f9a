//! Traffic of every kind at a rate that nothing is lost at: all upcalls are complete, put together
//! as they really were, and arrive as traces.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::time::{ClockId, clock_gettime};
use upspan::correlate::Config;
use upspan::event::{EventKind, MonotonicNs};
use upspan::pipeline;
use upspan::source::input::Input;
use upspan::source::recording::{Options, Recording};
use upspan_tests::collect::Collected;

use crate::agent::Agent;
use crate::mark::Traffic;
use crate::network::{self, sink};
use crate::report::Report;
use crate::traces::{Trace, Traces};
use crate::traffic::{self, Expected, Upcalls};
use crate::truth::{Events, TrueUpcall, Truth, What};

const RECORDING: &str = "/tmp/lossless.upspan";

/// A trace must be there after so long. On metal it takes a fraction of a second.
const PROMPT: Duration = Duration::from_secs(5);

pub(super) fn run(upspan: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut traces = Traces::start();
    let mut run = Agent::start(upspan, &["run", "--endpoint", &traces.endpoint()])?;
    let mut record = Agent::start(upspan, &["record", "-w", RECORDING])?;
    let mut probe = 0;
    traffic::probe(&mut probe, "a first trace, and a first recorded event", || {
        run.must_run()?;
        record.must_run()?;
        Ok((!traces.update().is_empty() && record.printed() > 1).then_some(()))
    })?;
    prompt(&mut probe, &mut traces, report)?;

    let (before, started) = (network::lookups()?, now());
    let expected = traffic::everything(report)?;
    let (after, ended) = (network::lookups()?, now());
    report.equal("datapath lost none", after.lost, before.lost);
    // What was sent before has arrived when this has: also the last of a batch of traces.
    let last = traffic::FIRST_PORT + probe;
    traffic::probe(&mut probe, "the last trace", || {
        Ok(traces.to(sink::PROBES, last).next().map(drop))
    })?;
    let recorded = record.stop()?;
    report.check("record ends well", recorded.status.success(), recorded.said.join(" | "));
    let ran = run.stop()?;
    report.check("run ends well", ran.status.code() == Some(130) || ran.status.success(), ran.said.join(" | "));

    let events = Events::read(Path::new(RECORDING))?;
    report.equal("nothing lost", events.lost(), 0);
    let truth = Truth::of(&events);
    report.none("every dp_upcall was read", events.all.len(), &truth.not_delivered);
    report.say(format_args!("{} events, {} upcalls", events.all.len(), truth.upcalls.len()));
    let seen = events.of(EventKind::DpUpcall).filter(|event| {
        (started..ended).contains(&event.head.ts) && matches!(event.what, What::DpUpcall { .. })
    });
    report.equal("misses that the kernel counts", seen.count() as u64, after.missed - before.missed);
    counts(&expected, &truth, report)?;
    let collected = correlate()?;
    joins(&collected, &truth, &events, report);
    spans(&mut traces, &truth, report)
}

/// On the clock of the events.
fn now() -> MonotonicNs {
    let now = clock_gettime(ClockId::Monotonic);
    MonotonicNs(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
}

/// How soon a trace arrives, measured a few times.
fn prompt(probe: &mut u16, traces: &mut Traces, report: &mut Report) -> anyhow::Result<()> {
    const TIMES: u16 = 5;
    let mut slowest = Duration::ZERO;
    for _ in 0..TIMES {
        let port = traffic::FIRST_PORT + *probe;
        let sent = Instant::now();
        let arrived = traffic::probe(probe, "a trace", || {
            Ok(traces.to(sink::PROBES, port).next().map(|trace| trace.arrived))
        })?;
        slowest = slowest.max(arrived - sent);
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
    let mut found: BTreeMap<(Traffic, &str), usize> = BTreeMap::new();
    for upcall in truth.upcalls.values() {
        if let (Some(mark), Some(port)) = (upcall.packet.mark(), upcall.port) {
            *found.entry((mark.traffic, name(port.0))).or_default() += 1;
        }
    }
    for &Expected { traffic, port, upcalls } in expected {
        let found = found.get(&(traffic, port)).copied().unwrap_or(0);
        let holds = match upcalls {
            Upcalls::Exactly(count) => found == count,
            Upcalls::AtLeast(count) => found >= count,
        };
        report.check(&format!("{traffic:?} at {port}"), holds, format_args!("{found} upcalls, {upcalls:?}"));
    }
    Ok(())
}

/// Runs the recording through the correlator.
fn correlate() -> anyhow::Result<Collected> {
    let options = Options { strict: true, ..Options::default() };
    let mut recording = Recording::open(&Input::from(Path::new(RECORDING)), options)?;
    ensure!(recording.has_port_map() || recording.next()?.is_some(), "the recording is empty");
    let mut recording = Recording::open(&Input::from(Path::new(RECORDING)), Options::default())?;
    let mut collected = Collected::default();
    pipeline::run(&mut recording, Config::default(), &mut collected, |_| true)?;
    Ok(collected)
}

/// The correlator has found what was, and nothing else.
fn joins(collected: &Collected, truth: &Truth, events: &Events, report: &mut Report) {
    let mut faults = Vec::new();
    for set in &collected.sets {
        let recv = set[EventKind::RecvUpcall.name()];
        match truth.upcalls.get(&recv) {
            Some(upcall) if upcall.set == *set => {}
            Some(upcall) => faults.push(format!(
                "{} at {:?}: {set:?} instead of {:?}",
                upcall.packet, upcall.port, upcall.set
            )),
            None => faults.push(format!("{set:?} was not")),
        }
    }
    report.none("put together as they were", collected.sets.len(), &faults);
    report.equal("as many as there were", collected.sets.len(), truth.upcalls.len());
    report.equal("complete", collected.complete, collected.sets.len());
    report.check(
        "segments of super-packets",
        collected.gso_segments > 0,
        format_args!("{}", collected.gso_segments),
    );
    let left: Vec<_> = collected.unmatched.iter().collect();
    report.say(format_args!("matches {:?}, unmatched {left:?}", collected.matches));
    let unusable = events.all.iter().filter(|event| matches!(event.what, What::Unusable(..)));
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for event in unusable {
        *reasons.entry(format!("{:?}", event.what)).or_default() += 1;
    }
    report.say(format_args!("unusable {reasons:?}"));
    let executed =
        truth.marked(Traffic::Dropped).filter(|upcall| upcall.has(EventKind::OpFlowExecute));
    // From Open vSwitch 3.5 on a kernel from 6.12 on: they have an action `drop`.
    report.say(format_args!("{} of the dropped ones were executed", executed.count()));
}

/// The traces are what they should be.
fn spans(traces: &mut Traces, truth: &Truth, report: &mut Report) -> anyhow::Result<()> {
    let ports = network::ports()?;
    let traces = traces.update();
    let mut faults: Vec<String> = traces.iter().filter_map(|trace| trace.fault()).collect();
    report.none("shape of traces", traces.len(), &faults);
    faults.clear();
    for trace in traces {
        let (number, name) = (trace.int("ovs.port.number"), trace.string("ovs.port.name"));
        let is_right = ports.iter().any(|(n, right)| Some(*n) == number && Some(right.as_str()) == name);
        if !is_right {
            faults.push(format!("port {number:?} is called {name:?}"));
        }
        if trace.string("ovs.datapath.name") != Some("ovs-system") {
            faults.push(format!("datapath {:?}", trace.string("ovs.datapath.name")));
        }
    }
    report.none("ports of traces", traces.len(), &faults);
    let incomplete: Vec<String> = traces
        .iter()
        .filter(|trace| !trace.is_complete())
        .map(|trace| format!("{:?}", trace.root()))
        .collect();
    report.none("traces are complete", traces.len(), &incomplete);
    let to_udp = |to: &str| {
        let is_it = |trace: &&Trace| {
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
