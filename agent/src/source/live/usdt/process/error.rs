//! Why a process is of no use.

use std::io;
use std::path::PathBuf;

use super::id::Pid;

/// Why a process is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such process, or it has ended.
    #[error("process {0} is not running: `pidof ovs-vswitchd` names those that are")]
    NotRunning(Pid),
    /// The number is that of a thread.
    #[error("{pid} is a thread: give its process, {process}")]
    Thread {
        /// The number given.
        pid: Pid,
        /// The process that it belongs to.
        process: Pid,
    },
    /// It only watches over vswitchd.
    #[error(
        "process {pid} is the monitor that restarts ovs-vswitchd after a crash: give {}",
        match vswitchd {
            Some(vswitchd) => format!("ovs-vswitchd itself, {vswitchd}"),
            None => "ovs-vswitchd itself, which is not running".to_owned(),
        }
    )]
    Monitor {
        /// The monitor.
        pid: Pid,
        /// The process that it has started.
        vswitchd: Option<Pid>,
    },
    /// It is another program.
    #[error(
        "process {pid} is {name:?}{}, not ovs-vswitchd: `pidof ovs-vswitchd` names those that are",
        executable.as_ref().map_or_else(String::new, |path| format!(" ({})", path.display()))
    )]
    NotVswitchd {
        /// The process.
        pid: Pid,
        /// Name of its first thread.
        name: String,
        /// Its program; threads of the kernel have none.
        executable: Option<PathBuf>,
    },
    /// The system refuses to show it.
    #[error("cannot read {}: {error}{}", path.display(), advice(error))]
    Unreadable {
        /// The file of procfs.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file of procfs has something else than the kernel writes.
    #[error("{} is not as the kernel writes it: is that a procfs?", .0.display())]
    Malformed(PathBuf),
    /// It maps more files than any vswitchd does.
    #[error("process {0} maps the code of too many files to be an ovs-vswitchd")]
    TooManyFiles(Pid),
}

/// What to do about it.
pub(super) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; this takes root, or the capabilities CAP_SYS_PTRACE and CAP_CHECKPOINT_RESTORE"
        }
        _ => "",
    }
}
