//! Which process is meant.

use std::fmt;

use serde::Serialize;

/// Number of a process, in the PID namespace of the procfs that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When a process was started, in clock ticks (`USER_HZ`, 100 per second) since boot: field 22 of
/// /proc/PID/stat, see proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct StartTime(pub u64);

/// A process, and none that gets its number later. Executing another program keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: Pid,
    /// When it was started.
    pub start: StartTime,
}
