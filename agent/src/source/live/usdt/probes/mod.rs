//! The probes of an upcall, in a running vswitchd.

mod error;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashSet;

use super::address::FileOffset;
use super::argument::Argument;
use super::elf::{ElfError, ElfNotes};
use super::machine::Machine;
use super::note::Note;
use super::process::{FileId, MappedFile, ProcessError, ProcessId, Vswitchd};

pub use error::{FindError, ProbeFault};

/// A probe of an upcall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// vswitchd has read an upcall: `dpif_recv` of lib/dpif.c. Its arguments: name of the
    /// datapath, upcall type, packet, packet length, flow key, key length.
    RecvUpcall,
    /// It puts a flow: `dpif_netlink_operate__` of lib/dpif-netlink.c. Its arguments:
    /// `struct dpif *`, `struct dpif_flow_put *`, `struct dpif_netlink_flow *`, request
    /// (`struct ofpbuf *`).
    FlowPut,
    /// It sends a packet back: `dpif_netlink_operate__` of lib/dpif-netlink.c. Its arguments:
    /// `struct dpif *`, `struct dpif_execute *`, packet, packet length, request
    /// (`struct ofpbuf *`).
    FlowExecute,
}

impl ProbeKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RecvUpcall, Self::FlowPut, Self::FlowExecute];

    /// Provider of its notes.
    #[must_use]
    pub const fn provider(self) -> &'static str {
        match self {
            Self::RecvUpcall => "dpif_recv",
            Self::FlowPut | Self::FlowExecute => "dpif_netlink_operate__",
        }
    }

    /// Name in its notes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecvUpcall => "recv_upcall",
            Self::FlowPut => "op_flow_put",
            Self::FlowExecute => "op_flow_execute",
        }
    }

    /// How many arguments it has.
    #[must_use]
    pub const fn argument_count(self) -> usize {
        match self {
            Self::RecvUpcall => 6,
            Self::FlowPut => 4,
            Self::FlowExecute => 5,
        }
    }

    fn of(note: &Note) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| note.provider == kind.provider() && note.name == kind.name())
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider(), self.name())
    }
}

/// One place where a probe is. A probe in inlined code has several.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Which probe.
    pub kind: ProbeKind,
    /// The file that it is in.
    pub file: Arc<MappedFile>,
    /// The processor that the file is for.
    pub machine: Machine,
    /// The instruction to probe.
    pub offset: FileOffset,
    /// The probe's semaphore, if it has one (`ref_ctr_offset` of the kernel).
    pub semaphore: Option<FileOffset>,
    /// As many as [`ProbeKind::argument_count`] says.
    pub arguments: Vec<Argument>,
}

/// The probes of a vswitchd: one at least.
#[derive(Debug)]
pub struct Probes {
    /// The process.
    pub process: ProcessId,
    /// All usable places of all probes.
    pub found: Vec<Probe>,
    /// What could not be used; worth a warning.
    pub faults: Vec<ProbeFault>,
}

impl Probes {
    /// The probes that are nowhere.
    pub fn missing(&self) -> impl Iterator<Item = ProbeKind> {
        ProbeKind::ALL
            .into_iter()
            .filter(|&kind| !self.found.iter().any(|probe| probe.kind == kind))
    }
}

/// Most places, of all three probes together. Compilers make few; the bound is for programs that
/// only call themselves ovs-vswitchd.
const MAX_PLACES: usize = 64;

/// Finds the probes of an upcall in the program and its shared libraries, where builds with
/// `--enable-shared` have them.
///
/// # Errors
///
/// When there is none to attach to, or the process has ended.
pub fn find(process: &Vswitchd) -> Result<Probes, FindError> {
    let pid = process.id().pid;
    let mut search = Search::default();
    for mapping in process.mappings()? {
        match process.open(&mapping) {
            Ok(file) => search.look_at(file),
            Err(error) => search.faults.push(error.into()),
        }
        if search.places > MAX_PLACES {
            return Err(FindError::TooMany(pid));
        }
    }
    // Another process may have got its number while its files were opened.
    if !process.is_running()? {
        return Err(ProcessError::NotRunning(pid).into());
    }
    let Search { found, mut faults, looked_at, .. } = search;
    if !found.is_empty() {
        return Ok(Probes { process: process.id(), found, faults });
    }
    if faults.is_empty() {
        let executable = process.executable().to_owned();
        return Err(FindError::None { pid, executable, looked_at });
    }
    let first = Box::new(faults.swap_remove(0));
    Err(FindError::Unusable { pid, first, others: faults.len() })
}

/// What has been found so far.
#[derive(Default)]
struct Search {
    files: HashSet<FileId>,
    looked_at: Vec<PathBuf>,
    found: Vec<Probe>,
    faults: Vec<ProbeFault>,
    /// Places of the three probes, usable or not.
    places: usize,
}

impl Search {
    fn look_at(&mut self, file: MappedFile) {
        // The same file may be mapped by way of two mounts.
        if !self.files.insert(file.id()) {
            return;
        }
        let path = file.path().to_owned();
        let elf = match ElfNotes::read(file.file()) {
            Ok(elf) => elf,
            // Code that a compiler made at run time, for example.
            Err(ElfError::NotElf) => return,
            Err(error) => {
                self.faults.push(ProbeFault::Elf { path, error });
                return;
            }
        };
        let file = Arc::new(file);
        for note in elf.notes() {
            let Some(kind) = ProbeKind::of(note) else { continue };
            self.places += 1;
            if self.places > MAX_PLACES {
                return;
            }
            match probe(kind, &file, &elf, note) {
                Ok(probe) => self.found.push(probe),
                Err(fault) => self.faults.push(fault),
            }
        }
        self.looked_at.push(path);
    }
}

fn probe(
    kind: ProbeKind,
    file: &Arc<MappedFile>,
    elf: &ElfNotes,
    note: &Note,
) -> Result<Probe, ProbeFault> {
    let path = || file.path().to_owned();
    let machine = elf.machine();
    let place = elf.place(note);
    let place = place.map_err(|error| ProbeFault::Place { kind, path: path(), error })?;
    let arguments = Argument::parse_all(machine, &note.arguments)
        .map_err(|error| ProbeFault::Argument { kind, path: path(), error })?;
    let count = arguments.len();
    if count != kind.argument_count() {
        return Err(ProbeFault::ArgumentCount { kind, path: path(), count });
    }
    let (file, offset, semaphore) = (Arc::clone(file), place.offset, place.semaphore);
    Ok(Probe { kind, file, machine, offset, semaphore, arguments })
}
