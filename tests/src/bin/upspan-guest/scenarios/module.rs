//! The kernel's module openvswitch is to be unloaded while upspan captures, and after.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::Place;
use super::refusals::refuses;
use crate::capture::{Probes, Running};
use crate::command::{run as command, run_words};
use crate::network;
use crate::report::Report;
use crate::vswitchd;

/// The modules, in the order in which they must be unloaded.
const MODULES: [&str; 3] = ["vport_geneve", "vport_vxlan", "openvswitch"];

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut probes = Probes::default();
    let mut run = Running::start(place.upspan, &[], &mut probes)?;
    vswitchd::kill()?;
    command("ovs-dpctl del-dp ovs-system")?;
    let [geneve, vxlan, openvswitch] = MODULES;
    for module in [geneve, vxlan] {
        unload(module)?;
    }
    // The kernel counts who listens at a module's tracepoint.
    let refused = unload(openvswitch);
    let detail =
        refused.as_ref().map_or_else(|error| error.to_string(), |()| "unloaded".to_owned());
    report.check("stays loaded while upspan captures", refused.is_err(), detail);
    for module in [vxlan, geneve] {
        load(module)?;
    }
    restart()?;
    run.await_complete(&mut probes, "after Open vSwitch has gone and come", report)?;
    run.stop(report)?;

    vswitchd::kill()?;
    command("ovs-dpctl del-dp ovs-system")?;
    for module in MODULES {
        unload(module)?;
    }
    refuses(place, &["run"], "modprobe openvswitch", report)?;
    for module in MODULES.into_iter().rev() {
        load(module)?;
    }
    restart()?;
    let mut run = Running::start(place.upspan, &[], &mut probes)?;
    run.await_complete(&mut probes, "after the module was loaded again", report)?;
    run.stop(report)?;
    Ok(())
}

/// Starts vswitchd, which makes the datapath anew.
fn restart() -> anyhow::Result<()> {
    vswitchd::start()?;
    network::underlay()
}

fn unload(module: &str) -> anyhow::Result<()> {
    run_words(&["rmmod", module]).map(drop)
}

/// From where the guest has its modules (`tests/vm/guest`).
fn load(module: &str) -> anyhow::Result<()> {
    let file = format!("{}.ko", module.replace('_', "-"));
    let modules: Vec<PathBuf> =
        fs::read_dir("/modules")?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    let path = modules.iter().filter_map(|path| path.to_str()).find(|path| path.ends_with(&file));
    run_words(&["insmod", path.with_context(|| format!("no {file} in /modules"))?]).map(drop)
}
