//! Why the programs are not in place.

use std::error::Error;
use std::io;
use std::iter;
use std::path::PathBuf;

use aya::EbpfError;
use aya::programs::ProgramError;

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
    /// It is not known how far the numbers of processors go.
    #[error("cannot read the numbers of processors: {0}")]
    Cpus(#[source] io::Error),
    /// A map is not usable.
    #[error("cannot use the BPF map {name}: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// Why not.
        source: aya::maps::MapError,
    },
    /// The ring buffer cannot be mapped.
    #[error("cannot map the ring buffer: {0}; --buffer-page-count makes it smaller")]
    Ring(#[source] io::Error),
    /// The ring buffer cannot be waited for.
    #[error("cannot wait for the BPF ring buffer: {0}")]
    Wakeups(#[source] io::Error),
    /// The object that was built in lacks something.
    #[error("the BPF object lacks {0}, so build upspan again")]
    Lacks(&'static str),
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
    of_system(error) + &too_old()
}

/// What the system said, where the text leaves it out, and what to do about it.
fn of_system(error: &(dyn Error + 'static)) -> String {
    let Some(system) = system(error) else { return String::new() };
    let said = system.to_string();
    let is_told = error.to_string().contains(&said);
    format!("{}{}", if is_told { String::new() } else { format!(": {said}") }, denied(system))
}

fn of_attach(error: &ProgramError) -> String {
    let is_absent = system(error).is_some_and(|system| system.kind() == io::ErrorKind::NotFound);
    of_system(error)
        + if is_absent {
            "; this takes the module openvswitch (modprobe openvswitch) and a kernel with \
             CONFIG_KPROBE_EVENTS=y"
        } else {
            ""
        }
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

/// The doorbell takes Linux 5.8, atomic operations 5.12, links of uprobes 5.15, and the tracepoint
/// `ovs_dp_upcall` 5.16. Some distributions have them in older ones, so that this only explains a
/// failure.
fn is_too_old(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    version.0.is_some() && version < (Some(5), Some(16))
}

#[cfg(test)]
mod tests {
    use aya::maps::MapError;
    use aya::programs::KProbeError;
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn the_systems_words_and_advice_are_told_once() {
        let denied = io::Error::from_raw_os_error(Errno::PERM.raw_os_error());
        let error = MapError::CreateError { name: "EVENTS".to_owned(), io_error: denied };
        let error = ProgramsError::from(EbpfError::MapError(error)).to_string();
        // What follows depends on the kernel that runs the test.
        insta::assert_snapshot!(
            error.split("; this is Linux").next().unwrap_or_default(),
            @"cannot set up the BPF programs: map error: failed to create map `EVENTS`: Operation not permitted (os error 1); this takes root, or the capabilities CAP_BPF and CAP_PERFMON"
        );
        let absent = io::Error::from_raw_os_error(Errno::NOENT.raw_os_error());
        let filename = "/sys/bus/event_source/devices/kprobe/type".into();
        let source = KProbeError::FileError { filename, io_error: absent }.into();
        let error = ProgramsError::Attach { to: "the function ovs_packet_cmd_execute", source };
        insta::assert_snapshot!(error, @"cannot attach to the function ovs_packet_cmd_execute: `/sys/bus/event_source/devices/kprobe/type`: No such file or directory (os error 2); this takes the module openvswitch (modprobe openvswitch) and a kernel with CONFIG_KPROBE_EVENTS=y");
    }

    #[test]
    fn kernels_that_lack_something_are_known_by_their_release() {
        for release in ["4.18.0-553.el8_10.x86_64", "5.10.0-30-amd64", "5.15.0-1", "5.4"] {
            assert!(is_too_old(release), "{release}");
        }
        for release in ["5.16.0", "6.1.0-18-amd64", "6.12.57+deb13-amd64", "10.0", "", "x"] {
            assert!(!is_too_old(release), "{release}");
        }
    }
}
