//! vswitchd, datapaths, ports and agents come and go.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Place;
use crate::capture::{Probes, Running};
use crate::command::{feed, run as command};
use crate::network;
use crate::report::Report;
use crate::traffic;
use crate::vswitchd;
use crate::wait::{self, LIMIT};

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut probes = Probes::default();
    let uprobes = uprobe_events()?;
    let mut run = Running::start(place.upspan, &[], &mut probes)?;
    idle(&run, report)?;

    vswitchd::restart()?;
    run.await_complete(&mut probes, "after a restart of vswitchd", report)?;
    let said = run.agent.said();
    // Between the two, what makes a daemon of it may have been seen.
    let probed = format!("probing ovs-vswitchd pid={} ", vswitchd::pid()?);
    let logged = ["ovs-vswitchd has ended", &probed]
        .into_iter()
        .all(|text| said.iter().any(|line| line.contains(text)));
    report.check("it is logged", logged, said.join(" | "));
    network::remove_bridges()?;
    network::bridges()?;
    network::underlay()?;
    run.await_complete(&mut probes, "after the datapath was made anew", report)?;
    new_port(&mut run, report)?;

    run.agent.kill()?;
    nothing_left(&uprobes, report)?;
    let mut run = Running::start(place.upspan, &[], &mut probes)?;
    run.await_complete(&mut probes, "after a killed agent", report)?;
    let (_, ended) = run.stop(report)?;
    report.say(ended.said.join(" | "));
    nothing_left(&uprobes, report)
}

/// A port that is added is known by its name at once.
fn new_port(run: &mut Running, report: &mut Report) -> anyhow::Result<()> {
    command("ip netns add h7")?;
    feed("ip -batch -", "link add p7 type veth peer name eth0 netns h7\nlink set p7 up\n")?;
    feed(
        "ip -n h7 -batch -",
        "link set eth0 address 02:00:00:00:00:07 up\n\
         addr add 10.0.0.7/24 dev eth0\n\
         neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0\n\
         route add 10.200.0.0/13 via 10.0.0.2\n",
    )?;
    command("ovs-vsctl add-port br0 p7")?;
    let mut number = 0;
    let seen = wait::until("a trace of a new port", LIMIT, || {
        traffic::send_from_new_port(number)?;
        number += 1;
        let to_sink = run.traces.to(network::sink::NEW_PORT, 0).last();
        Ok(to_sink.and_then(|trace| trace.string("ovs.port.name").map(str::to_owned)))
    })?;
    report.equal("a new port's name", seen.as_str(), "p7");
    Ok(())
}

/// With nothing to do, it does nothing, and it is small.
fn idle(run: &Running, report: &mut Report) -> anyhow::Result<()> {
    const TIME: Duration = Duration::from_secs(5);
    /// Under emulation; on metal it is a small fraction of one.
    const MOST_PERCENT: u64 = 10;
    const MOST_MIB: u64 = 64;
    let (before, start) = (cpu_ticks(run.agent.pid())?, Instant::now());
    wait::pause(TIME);
    let ticks = cpu_ticks(run.agent.pid())? - before;
    // A tick is a hundredth of a second (USER_HZ).
    let percent = ticks * 1000 / start.elapsed().as_millis().max(1) as u64;
    report.check(
        "idle",
        percent <= MOST_PERCENT,
        format_args!("{ticks} ticks in {} s", TIME.as_secs()),
    );
    let status = fs::read_to_string(format!("/proc/{}/status", run.agent.pid()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 =
        peak.and_then(|peak| peak.split_whitespace().next()).context("VmHWM")?.parse()?;
    report.check("memory", kib <= MOST_MIB * 1024, format_args!("{kib} KiB at most"));
    Ok(())
}

/// Ticks of CPU time of a process: `utime` and `stime` of proc(5).
fn cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_comm) = stat.rsplit_once(')').context("no comm in stat")?;
    let fields: Vec<&str> = after_comm.split_whitespace().collect();
    let ticks = |index: usize| -> anyhow::Result<u64> {
        Ok(fields.get(index).context("stat is short")?.parse()?)
    };
    Ok(ticks(11)? + ticks(12)?)
}

fn uprobe_events() -> anyhow::Result<String> {
    let path = "/sys/kernel/tracing/uprobe_events";
    fs::read_to_string(path).context(path)
}

/// Programs that the agent loads.
const PROGRAMS: [&str; 6] = [
    "dp_upcall",
    "dp_upcall_return",
    "recv_upcall",
    "op_flow_put",
    "op_flow_execute",
    "ovs_pkt_exec",
];

/// No program is loaded, and no probe is registered.
fn nothing_left(uprobes: &str, report: &mut Report) -> anyhow::Result<()> {
    let mut left = String::new();
    let gone = wait::until("programs are gone", LIMIT, || {
        left = command("bpftool prog list")?;
        let is_there = |name: &str| left.contains(&format!("name {name} "));
        Ok((!PROGRAMS.into_iter().any(is_there)).then_some(()))
    });
    report.check("no program is left", gone.is_ok(), left.lines().count());
    report.equal("uprobe_events", uprobe_events()?.as_str(), uprobes);
    Ok(())
}
