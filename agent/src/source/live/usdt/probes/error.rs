//! Why probes cannot be used.

use std::path::PathBuf;

use super::super::argument::ArgumentError;
use super::super::elf::{ElfError, PlaceError};
use super::super::process::{Pid, ProcessError, UnreadableFile};
use super::ProbeKind;

/// A file or probe that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeFault {
    /// A file whose code vswitchd runs cannot be opened: there might be probes in it.
    #[error(transparent)]
    Unreadable(#[from] UnreadableFile),
    /// Its notes cannot be read.
    #[error("cannot read the USDT probes of {}: {error}", path.display())]
    Elf {
        /// Its path in the process's mount namespace.
        path: PathBuf,
        /// Why.
        error: ElfError,
    },
    /// A probe of an upcall is not where it could be placed.
    #[error("cannot use the probe {kind} of {}: {error}", path.display())]
    Place {
        /// Which probe.
        kind: ProbeKind,
        /// Path of the file in the process's mount namespace.
        path: PathBuf,
        /// Why.
        error: PlaceError,
    },
    /// An argument of a probe of an upcall cannot be read.
    #[error("cannot use the probe {kind} of {}: {error}", path.display())]
    Argument {
        /// Which probe.
        kind: ProbeKind,
        /// Path of the file in the process's mount namespace.
        path: PathBuf,
        /// Which argument, and why.
        error: ArgumentError,
    },
    /// A probe of an upcall has more or fewer arguments than Open vSwitch documents.
    #[error(
        "cannot use the probe {kind} of {}: it has {count} arguments instead of {}, \
         as no known version of Open vSwitch has",
        path.display(),
        kind.argument_count()
    )]
    ArgumentCount {
        /// Which probe.
        kind: ProbeKind,
        /// Path of the file in the process's mount namespace.
        path: PathBuf,
        /// How many it has.
        count: usize,
    },
}

/// Why a vswitchd has no probes to attach to.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It cannot be looked at, or not any more.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It has none.
    #[error(
        "process {pid} has no USDT probes: {} was built without --enable-usdt-probes (looked at {}): \
         install a build that has them, or capture without",
        executable.display(),
        list(looked_at)
    )]
    None {
        /// The process.
        pid: Pid,
        /// Its program.
        executable: PathBuf,
        /// The files that have none, in the process's mount namespace.
        looked_at: Vec<PathBuf>,
    },
    /// None is usable, or those files that might have them are not.
    #[error(
        "process {pid} has no USDT probes that can be used: {first}{}",
        match others {
            0 => String::new(),
            others => format!(" (and {others} more like this)"),
        }
    )]
    Unusable {
        /// The process.
        pid: Pid,
        /// What is wrong with the first.
        first: Box<ProbeFault>,
        /// How many more are wrong.
        others: usize,
    },
    /// It has more places than compilers make of three probes.
    #[error("process {0} has more USDT probes than an ovs-vswitchd can have: is it one?")]
    TooMany(Pid),
}

/// Most files that an error names.
const MAX_LISTED: usize = 3;

fn list(paths: &[PathBuf]) -> String {
    let named: Vec<_> =
        paths.iter().take(MAX_LISTED).map(|path| path.display().to_string()).collect();
    match paths.len() - named.len() {
        0 => named.join(", "),
        others => format!("{}, and {others} more", named.join(", ")),
    }
}
