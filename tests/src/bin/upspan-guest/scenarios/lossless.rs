//! Traffic of every kind at a rate that nothing is lost at: all upcalls are complete, put together
//! as they really were, and arrive as traces.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use upspan::correlate::Config;
use upspan::event::EventKind;
use upspan::pipeline;
use upspan::source::input::Input;
use upspan::source::recording::{Options, Recording};
use upspan_tests::collect::Collected;
use upspan_tests::fixtures::Set;

use crate::agent::Agent;
use crate::mark::Traffic;
use crate::network::{self, Lookups, sink};
use crate::report::Report;
use crate::traces::Traces;
use crate::traffic::{self, Expected, Upcalls};
use crate::truth::{Events, Truth, What};

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

    let before = network::lookups()?;
    let expected = traffic::everything(report)?;
    let after = network::lookups()?;
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
    let missed = Lookups { missed: after.missed - before.missed, lost: after.lost - before.lost };
    report.say(format_args!("{} events, {} upcalls, {missed:?}", events.all.len(), truth.upcalls.len()));
    counts(&expected, &truth, report)?;
    let collected = correlate()?;
    joins(&collected, &truth, &events, report);
    spans(&mut traces, &truth, report)
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
    let of = |traffic: Traffic, has: fn(&Set) -> bool| {
        let of_traffic = truth.upcalls.values().filter(|upcall| {
            upcall.packet.mark().is_some_and(|mark| mark.traffic == traffic)
        });
        of_traffic.filter(|upcall| has(&upcall.set)).count()
    };
    let without_execute = |set: &Set| !set.contains_key(EventKind::OpFlowExecute.name());
    report.check(
        "dropped ones have no execute",
        of(Traffic::Dropped, without_execute) == of(Traffic::Dropped, |_| true),
        of(Traffic::Dropped, without_execute),
    );
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
        traces.iter().filter(move |trace| {
            trace.string("destination.address") == Some(to)
                && trace.string("network.transport") == Some("udp")
        })
    };
    let marked = |traffic: Traffic| {
        truth.upcalls.values().filter(move |upcall| {
            upcall.packet.mark().is_some_and(|mark| mark.traffic == traffic)
        })
    };
    for (to, traffic) in [
        ("10.201.0.1", Traffic::Vlan),
        ("10.202.0.1", Traffic::Conntrack),
        ("10.205.0.1", Traffic::Dropped),
        ("fd00:200::1", Traffic::Udp6),
    ] {
        report.equal(&format!("traces of {traffic:?}"), to_udp(to).count(), marked(traffic).count());
    }
    Ok(())
}
