//! The vswitchds that are probed: they come and go.

use std::num::NonZeroU32;

use hashbrown::{HashMap, HashSet};
use tracing::{info, warn};

use super::programs::{Attached, Programs, ProgramsError};
use super::usdt::probes::{self, FindError, ProbeKind, Probes};
use super::usdt::process::{Pid, ProcessError, ProcessId, Procfs, Vswitchd};

/// Why no vswitchd is probed.
#[derive(Debug, thiserror::Error)]
pub enum TargetsError {
    /// The processes cannot be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It has no usable probes.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The kernel does not take them.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// There is none.
    #[error(
        "no ovs-vswitchd is running on this node: start it (on Debian: systemctl start \
         openvswitch-switch); in a container, share the host's PID namespace (hostPID: true)"
    )]
    None,
}

/// See the module.
#[derive(Debug)]
pub struct Targets {
    procfs: Procfs,
    only: Option<Pid>,
    attached: HashMap<ProcessId, Vec<Attached>>,
    /// Those that cannot be probed, which was said.
    refused: HashSet<ProcessId>,
}

impl Targets {
    /// All vswitchds of the node, or only the one with this process id.
    #[must_use]
    pub fn new(only: Option<NonZeroU32>) -> Self {
        Self::of(Procfs::default(), only)
    }

    /// As [`Targets::new`], as a procfs shows them.
    #[must_use]
    pub fn of(procfs: Procfs, only: Option<NonZeroU32>) -> Self {
        Self {
            procfs,
            only: only.map(|pid| Pid(pid.get())),
            attached: HashMap::new(),
            refused: HashSet::new(),
        }
    }

    /// Attaches to the vswitchds that run now.
    ///
    /// # Errors
    ///
    /// There is none, or none can be probed. With several, those that cannot are logged.
    pub fn start(&mut self, programs: &mut Programs) -> Result<(), TargetsError> {
        let mut refusal = TargetsError::None;
        for process in self.processes()? {
            if let Err(error) = self.attach(&process, programs) {
                self.refused.insert(process.id());
                refusal = error;
            }
        }
        if self.attached.is_empty() { Err(refusal) } else { Ok(()) }
    }

    /// Attaches to those that have come since, and lets go of those that have ended.
    pub fn follow(&mut self, programs: &mut Programs) {
        let processes = match self.processes() {
            Ok(processes) => processes,
            Err(TargetsError::Process(ProcessError::NotRunning(_))) => Vec::new(),
            Err(error) => {
                warn!("cannot look for ovs-vswitchd: {error}");
                return;
            }
        };
        let ended: Vec<_> = self.attached.extract_if(|id, _| !runs(*id, &processes)).collect();
        for (id, attached) in ended {
            info!(pid = id.pid.0, "ovs-vswitchd has ended");
            drop(attached);
        }
        self.refused.retain(|id| runs(*id, &processes));
        for process in processes {
            let id = process.id();
            if self.attached.contains_key(&id) || self.refused.contains(&id) {
                continue;
            }
            if let Err(error) = self.attach(&process, programs) {
                warn!(pid = id.pid.0, "cannot probe ovs-vswitchd: {error}");
                self.refused.insert(id);
            }
        }
    }

    fn processes(&self) -> Result<Vec<Vswitchd>, TargetsError> {
        if let Some(pid) = self.only {
            return Ok(vec![self.procfs.vswitchd(pid)?]);
        }
        let mut found = self.procfs.vswitchds()?;
        if found.readable.is_empty()
            && let Some(error) = found.unreadable.pop()
        {
            return Err(error.into());
        }
        Ok(found.readable)
    }

    fn attach(&mut self, process: &Vswitchd, programs: &mut Programs) -> Result<(), TargetsError> {
        let probes = probes::find(process)?;
        let (mut attached, mut refused) = (Vec::new(), Vec::new());
        for result in programs.attach_usdt(&probes) {
            match result {
                Ok(one) => attached.push(one),
                Err(error) => refused.push(error),
            }
        }
        if attached.is_empty()
            && let Some(error) = refused.pop()
        {
            return Err(error.into());
        }
        log(&probes, &attached, &refused);
        self.attached.insert(process.id(), attached);
        Ok(())
    }
}

fn runs(id: ProcessId, processes: &[Vswitchd]) -> bool {
    processes.iter().any(|process| process.id() == id)
}

fn log(probes: &Probes, attached: &[Attached], refused: &[ProgramsError]) {
    let pid = probes.process.pid.0;
    for fault in &probes.faults {
        warn!(pid, "{fault}");
    }
    for error in refused {
        warn!(pid, "{error}");
    }
    let is_attached = |kind: &ProbeKind| attached.iter().any(|attached| attached.kind() == *kind);
    let missing: Vec<_> =
        ProbeKind::ALL.iter().filter(|kind| !is_attached(kind)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        warn!(pid, missing = missing.join(","), "probes are missing: upcalls will be incomplete");
    }
    let places: usize = attached.iter().map(Attached::places).sum();
    info!(pid, places, "probing ovs-vswitchd");
}
