//! Uprobes: programs that run when a process comes to an instruction of a file.
//!
//! The kernel has two ways: uprobe_multi (6.6), which takes fewer rights, and before that an event
//! of perf. Both count up the probes' semaphores in the memory of the
//! process while they are attached. Both keep to one process with all of its threads, also those
//! that are started later; a process that it forks has none of the probes.

mod code;
#[expect(unsafe_code, reason = "the system calls have no safe wrapper")]
mod sys;

use std::ffi::{CStr, CString};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::usdt::address::FileOffset;
use super::usdt::process::Pid;
use super::verifier::{Rejected, denied};
pub use code::{Code, CodeError, Instructions, object_with};
use sys::Purpose;

/// Type of the event source of perf's uprobes.
const PMU: &str = "/sys/bus/event_source/devices/uprobe/type";

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// uprobe_multi, Linux 6.6.
    Multi,
    /// An event of perf. Its link takes Linux 5.15.
    Perf,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Multi => "uprobe_multi",
            Self::Perf => "perf",
        })
    }
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The instruction.
    pub offset: FileOffset,
    /// The semaphore to count up, if there is one.
    pub semaphore: Option<FileOffset>,
}

impl Site {
    /// As the kernel has it: 0 stands for none.
    fn counter(&self) -> u64 {
        self.semaphore.map_or(0, |semaphore| semaphore.0)
    }
}

/// Why a program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel has no uprobes.
    #[error("cannot read {}: {source}; the kernel takes CONFIG_UPROBE_EVENTS=y", path.display())]
    NoUprobes {
        /// The file that says how to ask for them.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It does not take this one.
    #[error("{source}{}", advice(*method, source))]
    Refused {
        /// How it was asked.
        method: Method,
        /// What the system says.
        source: io::Error,
    },
}

fn advice(method: Method, error: &io::Error) -> &'static str {
    match (method, Errno::from_io_error(error)) {
        (_, Some(Errno::SRCH)) => ": the process has ended",
        // `perf_uprobe_event_init` of the kernel's kernel/events/core.c.
        (Method::Perf, Some(Errno::PERM | Errno::ACCESS)) => {
            "; on a kernel before 6.6, this takes root or the capability CAP_SYS_ADMIN"
        }
        _ => denied(error),
    }
}

/// A program that is loaded.
#[derive(Debug)]
pub struct UprobeProgram {
    fd: OwnedFd,
    method: Method,
}

/// A program that is attached to a place of a file. It is detached when this is dropped, or when
/// the agent ends in whichever way: nothing else holds it.
#[derive(Debug)]
#[must_use]
pub struct UprobeLink {
    _link: OwnedFd,
}

impl UprobeProgram {
    /// Longest output of the verifier, in bytes.
    const LOG: usize = 1 << 20;

    /// Loads a program. Those that are loaded for one method cannot be attached by the other.
    ///
    /// # Errors
    ///
    /// The kernel does not take it.
    pub fn load(name: &'static str, code: &Instructions, method: Method) -> Result<Self, Rejected> {
        let purpose = match method {
            Method::Multi => Purpose::Multi,
            Method::Perf => Purpose::Perf,
        };
        let Instructions { license, words } = code;
        match sys::load(name, license, words, purpose, &mut []) {
            Ok(fd) => Ok(Self { fd, method }),
            Err(source) => {
                let mut log = vec![0; Self::LOG];
                let _same_error = sys::load(name, license, words, purpose, &mut log);
                let log = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
                Err(Rejected::new(name, source, &log))
            }
        }
    }

    /// Whether the kernel has uprobe_multi, and lets it keep to one process. It had it keep to one
    /// thread until 6.10 (its commit 46ba0e49b642), which later versions of older kernels have
    /// corrected, too. The program must be loaded for it.
    #[must_use]
    pub fn multi_works(&self) -> bool {
        // A directory is no file to probe, which a kernel that knows the command says; one that
        // has the correction says that no process has this number, before it looks at the file.
        let site = Site { offset: FileOffset(0), semaphore: None };
        let tried = |pid| {
            let refused = sys::attach_multi(self.fd.as_fd(), c"/", site, Pid(pid)).err()?;
            Errno::from_io_error(&refused)
        };
        tried(0) == Some(Errno::BADF) && tried(u32::MAX) == Some(Errno::INVAL)
    }

    /// Attaches it to a place of a file, in one process.
    ///
    /// # Errors
    ///
    /// The kernel refuses the place, or the process has ended.
    pub fn attach(&self, path: &Path, site: Site, pid: Pid) -> Result<UprobeLink, AttachError> {
        let method = self.method;
        let refused = |source| AttachError::Refused { method, source };
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|nul| refused(nul.into()))?;
        let program = self.fd.as_fd();
        let link = match method {
            Method::Multi => sys::attach_multi(program, &path, site, pid),
            Method::Perf => sys::open_event(pmu()?, &path, site, pid)
                // The link holds the event.
                .and_then(|event| sys::attach_event(program, event.as_fd())),
        };
        Ok(UprobeLink { _link: link.map_err(refused)? })
    }
}

fn pmu() -> Result<u32, AttachError> {
    let failed = |source| AttachError::NoUprobes { path: PMU.into(), source };
    let text = fs::read_to_string(PMU).map_err(failed)?;
    text.trim().parse().map_err(|error| failed(io::Error::other(error)))
}
