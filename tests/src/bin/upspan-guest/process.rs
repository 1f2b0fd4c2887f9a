//! Processes, by their ids.

use std::fs;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{self, LIMIT};

/// Sends a signal to a process.
pub(crate) fn signal_process(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(pid, signal).with_context(|| format!("cannot signal process {pid:?}"))
}

/// A process that does nothing until this is dropped.
#[derive(Debug)]
pub(crate) struct Stopped(u32);

impl Stopped {
    /// Stops it.
    pub(crate) fn new(pid: u32) -> anyhow::Result<Self> {
        signal_process(pid, Signal::STOP)?;
        let stat = format!("/proc/{pid}/stat");
        wait::until("a process stops", LIMIT, || {
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
