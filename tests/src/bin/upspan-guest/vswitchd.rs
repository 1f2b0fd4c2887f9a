//! The ovs-vswitchd of this machine.

use std::fs;

use anyhow::Context;
use rustix::process::Signal;

use crate::command::run;
use crate::process::signal_process;
use crate::wait::{self, LIMIT};

const PIDFILE: &str = "/run/openvswitch/ovs-vswitchd.pid";

/// Its process id.
pub(crate) fn pid() -> anyhow::Result<u32> {
    let text = fs::read_to_string(PIDFILE).context(PIDFILE)?;
    text.trim().parse().context(PIDFILE)
}

/// Kills it, and starts another.
pub(crate) fn restart() -> anyhow::Result<()> {
    kill()?;
    start()
}

/// Kills it. Its datapath stays.
pub(crate) fn kill() -> anyhow::Result<()> {
    let pid = pid()?;
    signal_process(pid, Signal::KILL)?;
    let path = format!("/proc/{pid}/exe");
    wait::until("vswitchd ends", LIMIT, || Ok(fs::read_link(&path).is_err().then_some(())))
}

/// Starts it.
pub(crate) fn start() -> anyhow::Result<()> {
    run("ovs-vswitchd --pidfile --detach --no-chdir --log-file=/run/vswitchd.log")?;
    run("ovs-appctl upcall/disable-megaflows")?;
    Ok(())
}
