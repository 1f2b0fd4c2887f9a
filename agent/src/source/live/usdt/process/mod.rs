//! The vswitchds of a node, and the files whose code they run.
//!
//! Processes are seen through procfs, so those of containers are too, if the PID namespace is the
//! host's. Their files are opened through procfs as well: a container's are at other paths here,
//! and those of a package that was upgraded under a running vswitchd have no path at all.

mod error;
mod files;
mod id;
mod maps;
mod stat;
#[cfg(test)]
pub(super) mod tests;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use stat::Stat;

pub use error::ProcessError;
pub use files::{FileId, MappedFile, UnreadableFile};
pub use id::{Pid, ProcessId, StartTime};
pub use maps::Mapping;

/// Name of the program, and of its first thread.
const VSWITCHD: &[u8] = b"ovs-vswitchd";

/// Name of the first thread of the process that restarts a crashed vswitchd: `monitor_daemon` of
/// Open vSwitch's lib/daemon-unix.c sets it. It runs the same program, but handles no upcalls.
const MONITOR: &[u8] = b"monitor";

/// What procfs appends to the path of a file that was removed or replaced (`d_path` of the
/// kernel's fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";

/// A procfs, through which processes are seen.
#[derive(Clone, Debug)]
pub struct Procfs {
    root: PathBuf,
}

/// The vswitchds of a node.
#[derive(Debug, Default)]
pub struct Vswitchds {
    /// Those that can be looked at.
    pub readable: Vec<Vswitchd>,
    /// Those that the system does not let us look at, and why.
    pub unreadable: Vec<ProcessError>,
}

/// A running vswitchd.
#[derive(Clone, Debug)]
pub struct Vswitchd {
    id: ProcessId,
    /// Its directory in procfs.
    dir: PathBuf,
    /// Where `exe` points.
    executable: PathBuf,
}

impl Default for Procfs {
    /// The one at `/proc`.
    fn default() -> Self {
        Self::new("/proc")
    }
}

impl Procfs {
    /// The procfs that is mounted at `root`. PIDs are those of the PID namespace that it was
    /// mounted in, and mean the same elsewhere only if that is the agent's.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Finds all vswitchds, in containers too: processes whose first thread or program is named
    /// `ovs-vswitchd`. Debian's `ovs-vswitchd-dpdk`, for example, runs under that name.
    ///
    /// # Errors
    ///
    /// When the procfs itself cannot be read. Processes that end meanwhile are none.
    pub fn vswitchds(&self) -> Result<Vswitchds, ProcessError> {
        let mut found = Vswitchds::default();
        for pid in self.pids()? {
            match self.identify(pid) {
                Ok(vswitchd) => found.readable.push(vswitchd),
                Err(error @ (ProcessError::Unreadable { .. } | ProcessError::Malformed(_))) => {
                    // Of other programs, it matters to nobody.
                    let is_named =
                        Stat::read(&self.dir(pid)).is_ok_and(|stat| stat.comm == VSWITCHD);
                    if is_named {
                        found.unreadable.push(error);
                    }
                }
                Err(_) => {}
            }
        }
        found.readable.sort_by_key(Vswitchd::id);
        Ok(found)
    }

    /// Checks that `pid` is a vswitchd.
    ///
    /// # Errors
    ///
    /// When it is not running, cannot be looked at, or is something else.
    pub fn vswitchd(&self, pid: Pid) -> Result<Vswitchd, ProcessError> {
        let process = stat::process_of_thread(&self.dir(pid), pid)?;
        if process != pid {
            return Err(ProcessError::Thread { pid, process });
        }
        match self.identify(pid) {
            Err(ProcessError::Monitor { pid, .. }) => {
                Err(ProcessError::Monitor { pid, vswitchd: self.child(pid) })
            }
            other => other,
        }
    }

    fn identify(&self, pid: Pid) -> Result<Vswitchd, ProcessError> {
        let dir = self.dir(pid);
        let stat = Stat::read(&dir).map_err(|error| error.of(pid))?;
        if !stat.is_alive {
            return Err(ProcessError::NotRunning(pid));
        }
        let name = || String::from_utf8_lossy(&stat.comm).into_owned();
        let link = dir.join("exe");
        let executable = match fs::read_link(&link) {
            Ok(executable) => executable,
            // Threads of the kernel have none, and who is ending has none any more.
            Err(error) if is_gone(&error) => {
                return Err(if stat.comm == VSWITCHD {
                    ProcessError::NotRunning(pid)
                } else {
                    ProcessError::NotVswitchd { pid, name: name(), executable: None }
                });
            }
            Err(error) => return Err(ProcessError::Unreadable { path: link, error }),
        };
        let program = undeleted(&executable).file_name().map(OsStr::as_bytes);
        let runs_vswitchd = program == Some(VSWITCHD);
        if runs_vswitchd && stat.comm == MONITOR {
            return Err(ProcessError::Monitor { pid, vswitchd: None });
        }
        if !runs_vswitchd && stat.comm != VSWITCHD {
            let executable = Some(executable);
            return Err(ProcessError::NotVswitchd { pid, name: name(), executable });
        }
        Ok(Vswitchd { id: ProcessId { pid, start: stat.start }, dir, executable })
    }

    /// The vswitchd that `monitor` has started.
    fn child(&self, monitor: Pid) -> Option<Pid> {
        let is_child = |pid: &Pid| {
            Stat::read(&self.dir(*pid)).is_ok_and(|stat| stat.parent == monitor)
                && self.identify(*pid).is_ok()
        };
        self.pids().ok()?.into_iter().find(is_child)
    }

    fn pids(&self) -> Result<Vec<Pid>, ProcessError> {
        let unreadable = |error| ProcessError::Unreadable { path: self.root.clone(), error };
        let mut pids = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
                pids.push(Pid(pid));
            }
        }
        Ok(pids)
    }

    fn dir(&self, pid: Pid) -> PathBuf {
        self.root.join(pid.to_string())
    }
}

impl Vswitchd {
    /// Which process it is.
    #[must_use]
    pub const fn id(&self) -> ProcessId {
        self.id
    }

    /// Path of its program, in its own mount namespace. It may name another file by now, or none.
    #[must_use]
    pub fn executable(&self) -> &Path {
        undeleted(&self.executable)
    }

    /// Whether it still runs: another process with its number does not count.
    ///
    /// # Errors
    ///
    /// When that cannot be known.
    pub fn is_running(&self) -> Result<bool, ProcessError> {
        match Stat::read(&self.dir).map_err(|error| error.of(self.id.pid)) {
            Ok(stat) => Ok(stat.is_alive && stat.start == self.id.start),
            Err(ProcessError::NotRunning(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The path that a link or line of procfs had while its file was there.
fn undeleted(path: &Path) -> &Path {
    let bytes = path.as_os_str().as_bytes();
    Path::new(OsStr::from_bytes(bytes.strip_suffix(DELETED).unwrap_or(bytes)))
}

/// Whether procfs says by this that the process has ended.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}
