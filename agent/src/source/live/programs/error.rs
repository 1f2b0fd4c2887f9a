//! Why the programs are not in place.

use std::error::Error;
use std::io;
use std::iter;
use std::path::PathBuf;

use aya::EbpfError;
use aya::programs::ProgramError;
use upspan_ebpf::argument::MAX_PLACES;

use super::super::uprobe::{AttachError, CodeError};
use super::super::usdt::probes::ProbeKind;
use super::super::usdt::process::Pid;
use super::super::verifier::{Rejected, denied};

/// Why the programs are not in place.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// The kernel does not take what they need, such as their maps.
    #[error("cannot set up the BPF programs: {source}{}", of_load(source))]
    Load {
        /// What the kernel or aya says.
        #[from]
        source: EbpfError,
    },
    /// The kernel does not take one of them.
    #[error("the kernel does not take the BPF program {source}{}", too_old())]
    Rejected {
        /// Which, and why.
        #[from]
        source: Rejected,
    },
    /// What was built in is not whole.
    #[error("the BPF object is damaged, so build upspan again: {0}")]
    Code(#[from] CodeError),
    /// A program was not attached to the kernel.
    #[error("cannot attach to {to}: {source}{}", of_attach(source))]
    Attach {
        /// What it was to be attached to.
        to: &'static str,
        /// Why it was not.
        source: ProgramError,
    },
    /// A program was not attached to a process.
    #[error("cannot attach to the probe {kind} of {} in process {pid}: {source}", path.display())]
    AttachUsdt {
        /// The probe.
        kind: ProbeKind,
        /// The file that it is in, in the process's mount namespace.
        path: PathBuf,
        /// The process.
        pid: Pid,
        /// Why it was not.
        source: AttachError,
    },
    /// A map is not usable.
    #[error("cannot use the BPF map {name}: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// Why not.
        source: aya::maps::MapError,
    },
    /// The ring buffer cannot be waited for.
    #[error("cannot wait for the BPF ring buffer: {0}")]
    Wakeups(#[source] io::Error),
    /// The object that was built in lacks something.
    #[error("the BPF object lacks {0}, so build upspan again")]
    Lacks(&'static str),
    /// More probes than the programs can tell apart.
    #[error("more than {MAX_PLACES} places of USDT probes: name one process with --pid")]
    TooManyPlaces,
}

impl ProgramsError {
    /// With the last words of the verifier only.
    pub(super) fn rejected(name: &'static str, error: ProgramError) -> Self {
        match error {
            ProgramError::LoadError { io_error, verifier_log } => {
                Rejected::new(name, io_error, &verifier_log.to_string()).into()
            }
            error => EbpfError::ProgramError(error).into(),
        }
    }
}

/// What the system said, if that is behind it.
fn system<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

fn of_load(error: &EbpfError) -> String {
    system(error).map_or("", denied).to_owned() + &too_old()
}

fn of_attach(error: &ProgramError) -> &'static str {
    system(error).map_or("", denied)
}

/// What is to be said of a kernel that is too old.
fn too_old() -> String {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    if is_too_old(&release) {
        format!("; this is Linux {release}, and live capture takes 5.16 or RHEL 9")
    } else {
        String::new()
    }
}

/// The ring buffer takes Linux 5.8, cookies 5.15, and the tracepoint `ovs_dp_upcall` 5.16. Some
/// distributions have them in older ones, so that this only explains a failure.
fn is_too_old(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    version.0.is_some() && version < (Some(5), Some(16))
}
