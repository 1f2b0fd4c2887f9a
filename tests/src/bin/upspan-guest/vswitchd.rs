//! The ovs-vswitchd of this machine.

use std::fs;

use anyhow::Context;
use rustix::process::Signal;

use crate::agent::signal_process;
use crate::command::run;
use crate::wait::{self, LIMIT};

const PIDFILE: &str = "/run/openvswitch/ovs-vswitchd.pid";

/// Its process id.
pub(crate) fn pid() -> anyhow::Result<u32> {
    let text = fs::read_to_string(PIDFILE).context(PIDFILE)?;
    text.trim().parse().context(PIDFILE)
}

/// It does nothing, until it is dropped.
#[derive(Debug)]
pub(crate) struct Stopped(u32);

impl Stopped {
    /// Stops it.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let pid = pid()?;
        signal_process(pid, Signal::STOP)?;
        let stat = format!("/proc/{pid}/stat");
        wait::until("vswitchd stops", LIMIT, || {
            Ok(fs::read_to_string(&stat)?.contains(") T ").then_some(()))
        })?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // If it is gone, the checks that follow tell.
        let _ = signal_process(self.0, Signal::CONT);
    }
}

/// Kills it, and starts another.
pub(crate) fn restart() -> anyhow::Result<()> {
    let pid = pid()?;
    signal_process(pid, Signal::KILL)?;
    let path = format!("/proc/{pid}/exe");
    wait::until("vswitchd ends", LIMIT, || Ok(fs::read_link(&path).is_err().then_some(())))?;
    start()
}

/// Starts it.
fn start() -> anyhow::Result<()> {
    run("ovs-vswitchd --pidfile --detach --no-chdir --log-file=/run/vswitchd.log")?;
    run("ovs-appctl upcall/disable-megaflows")?;
    Ok(())
}
