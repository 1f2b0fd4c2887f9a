//! The BPF programs in the kernel, and what they are attached to. Everything is undone when the
//! process ends, however it ends: nothing is pinned.

mod error;

use std::sync::Arc;

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::{KProbe, Program, TracePoint};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use tracing::debug;
use upspan_ebpf::argument::{MAX_PLACES, Place};
use upspan_ebpf::config::{CONFIG, Config};
use zerocopy::IntoBytes;

use super::place::place;
use super::uprobe::{Code, Method, Site, UprobeLink, UprobeProgram};
use super::usdt::probes::{Probe, ProbeKind, Probes};
use super::usdt::process::Pid;
pub use error::ProgramsError;

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/upspan-ebpf"));

/// The program of a probe.
const fn name(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::RecvUpcall => "recv_upcall",
        ProbeKind::FlowPut => "op_flow_put",
        ProbeKind::FlowExecute => "op_flow_execute",
    }
}

/// A probe of one file that is attached to in one process.
#[derive(Debug)]
pub struct Attached {
    kind: ProbeKind,
    link: UprobeLink,
    /// What its places are known by to the program: their positions in the map `PLACES`.
    cookies: Vec<u32>,
}

impl Attached {
    /// Which probe.
    #[must_use]
    pub const fn kind(&self) -> ProbeKind {
        self.kind
    }

    /// At how many places.
    #[must_use]
    pub fn places(&self) -> usize {
        self.cookies.len()
    }
}

/// Those of [`ProbeKind::ALL`], in this order.
type Uprobes = [UprobeProgram; ProbeKind::ALL.len()];

/// A [`Place`], as aya can write it.
type Words = [u64; size_of::<Place>() / 8];

fn words(probe: &Probe) -> Words {
    zerocopy::transmute!(place(probe))
}

/// The programs; see the module.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Programs {
    ebpf: Ebpf,
    uprobes: Uprobes,
    places: Array<MapData, Words>,
    /// Positions that are free.
    cookies: Vec<u32>,
}

impl Programs {
    /// Loads all of them. `ring_bytes` is the size of the ring buffer: a power of two, and whole
    /// pages.
    ///
    /// # Errors
    ///
    /// The kernel refuses them.
    pub fn load(config: &Config, ring_bytes: u32) -> Result<Self, ProgramsError> {
        Self::load_for(None, config, ring_bytes)
    }

    /// As [`Programs::load`], with a method of attaching to processes, or the best that this
    /// kernel has.
    ///
    /// # Errors
    ///
    /// As for [`Programs::load`].
    pub fn load_for(
        method: Option<Method>,
        config: &Config,
        ring_bytes: u32,
    ) -> Result<Self, ProgramsError> {
        let mut ebpf = EbpfLoader::new()
            .override_global(CONFIG, config.as_bytes(), true)
            .map_max_entries("EVENTS", ring_bytes)
            .load(OBJECT)?;
        let code = Code::new(OBJECT, &ebpf)?;
        let uprobes = match method {
            Some(method) => load_uprobes(&code, method)?,
            None => load_best(&code)?,
        };
        let tracepoint = program::<TracePoint>(&mut ebpf, "dp_upcall")?.load();
        tracepoint.map_err(|error| ProgramsError::rejected("dp_upcall", error))?;
        for name in ["dp_upcall_return", "ovs_pkt_exec"] {
            let loaded = program::<KProbe>(&mut ebpf, name)?.load();
            loaded.map_err(|error| ProgramsError::rejected(name, error))?;
        }
        let map = ebpf.take_map("PLACES").ok_or(ProgramsError::Lacks("the map PLACES"))?;
        let places =
            Array::try_from(map).map_err(|source| ProgramsError::Map { name: "PLACES", source })?;
        Ok(Self { ebpf, uprobes, places, cookies: (0..MAX_PLACES).rev().collect() })
    }

    /// The ring buffer.
    ///
    /// # Errors
    ///
    /// It was taken before, or cannot be mapped.
    pub fn take_ring(&mut self) -> Result<RingBuf<MapData>, ProgramsError> {
        let map = self.ebpf.take_map("EVENTS").ok_or(ProgramsError::Lacks("the map EVENTS"))?;
        RingBuf::try_from(map).map_err(|source| ProgramsError::Map { name: "EVENTS", source })
    }

    /// How many records there was no room for, by kind and CPU.
    ///
    /// # Errors
    ///
    /// It was taken before.
    pub fn take_lost(&mut self) -> Result<PerCpuArray<MapData, u64>, ProgramsError> {
        let map = self.ebpf.take_map("LOST").ok_or(ProgramsError::Lacks("the map LOST"))?;
        PerCpuArray::try_from(map).map_err(|source| ProgramsError::Map { name: "LOST", source })
    }

    /// Attaches to the kernel's module.
    ///
    /// # Errors
    ///
    /// The tracepoint or a function is not there, or may not be probed.
    pub fn attach_kernel(&mut self) -> Result<(), ProgramsError> {
        let attach = |to| move |source| ProgramsError::Attach { to, source };
        program::<KProbe>(&mut self.ebpf, "ovs_pkt_exec")?
            .attach("ovs_packet_cmd_execute", 0)
            .map_err(attach("the function ovs_packet_cmd_execute"))?;
        program::<KProbe>(&mut self.ebpf, "dp_upcall_return")?
            .attach("ovs_dp_upcall", 0)
            .map_err(attach("the return of ovs_dp_upcall"))?;
        program::<TracePoint>(&mut self.ebpf, "dp_upcall")?
            .attach("openvswitch", "ovs_dp_upcall")
            .map_err(attach("the tracepoint openvswitch:ovs_dp_upcall"))?;
        Ok(())
    }

    /// Attaches to the probes of a process: for each probe and file, how that went.
    pub fn attach_usdt(&mut self, probes: &Probes) -> Vec<Result<Attached, ProgramsError>> {
        let pid = probes.process.pid;
        let mut results = Vec::new();
        for (kind, program) in ProbeKind::ALL.into_iter().zip(&self.uprobes) {
            let found: Vec<_> = probes.found.iter().filter(|probe| probe.kind == kind).collect();
            // Those of a file were found one after the other.
            for found in found.chunk_by(|one, other| Arc::ptr_eq(&one.file, &other.file)) {
                let Some(left) = self.cookies.len().checked_sub(found.len()) else {
                    results.push(Err(ProgramsError::TooManyPlaces));
                    continue;
                };
                let cookies = self.cookies.split_off(left);
                match attach(program, &mut self.places, found, &cookies, pid) {
                    Ok(link) => results.push(Ok(Attached { kind, link, cookies })),
                    Err(error) => {
                        self.cookies.extend(cookies);
                        results.push(Err(error));
                    }
                }
            }
        }
        results
    }

    /// Lets go of a probe.
    pub fn detach(&mut self, attached: Attached) {
        let Attached { link, cookies, .. } = attached;
        // The kernel waits for programs that run, so that none uses its cookie after this.
        drop(link);
        self.cookies.extend(cookies);
    }
}

/// Attaches to the places of a probe in one file.
fn attach(
    program: &UprobeProgram,
    places: &mut Array<MapData, Words>,
    found: &[&Probe],
    cookies: &[u32],
    pid: Pid,
) -> Result<UprobeLink, ProgramsError> {
    let mut sites = Vec::with_capacity(found.len());
    for (probe, &cookie) in found.iter().zip(cookies) {
        places
            .set(cookie, words(probe), 0)
            .map_err(|source| ProgramsError::Map { name: "PLACES", source })?;
        sites.push(Site { offset: probe.offset, semaphore: probe.semaphore, cookie });
    }
    let first = found.first().ok_or(ProgramsError::Lacks("a place"))?;
    program.attach(&first.file.attach_path(), &sites, pid).map_err(|source| {
        ProgramsError::AttachUsdt {
            kind: first.kind,
            path: first.file.path().to_owned(),
            pid,
            source,
        }
    })
}

fn load_best(code: &Code) -> Result<Uprobes, ProgramsError> {
    // Kernels without uprobe_multi may refuse programs for it or take them.
    let method = match load_uprobes(code, Method::Multi) {
        Ok(programs) if programs.iter().all(UprobeProgram::multi_works) => {
            debug!("attaching by {}", Method::Multi);
            return Ok(programs);
        }
        Ok(_) | Err(ProgramsError::Rejected { .. }) => Method::Perf,
        Err(error) => return Err(error),
    };
    debug!("attaching by {method}: this kernel has no uprobe_multi, or one that sees one thread");
    load_uprobes(code, method)
}

fn load_uprobes(code: &Code, method: Method) -> Result<Uprobes, ProgramsError> {
    let [recv_upcall, op_flow_put, op_flow_execute] = ProbeKind::ALL.map(|kind| {
        let name = name(kind);
        Ok::<_, ProgramsError>(UprobeProgram::load(name, &code.program(name)?, method)?)
    });
    Ok([recv_upcall?, op_flow_put?, op_flow_execute?])
}

fn program<'e, P>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut P, ProgramsError>
where
    &'e mut P: TryFrom<&'e mut Program>,
{
    let program = ebpf.program_mut(name).ok_or(ProgramsError::Lacks(name))?;
    program.try_into().map_err(|_| ProgramsError::Lacks(name))
}

#[cfg(test)]
mod tests {
    use upspan_ebpf::config::{TracepointFields, upcalls};

    use super::*;

    #[test]
    fn the_verifier_takes_the_programs() {
        let config = Config {
            packet_limit: 2048,
            key_limit: 2048,
            upcalls: upcalls::MISS | upcalls::ACTION,
            skb_data: 208,
            wake_at: 0,
            tracepoint: TracepointFields::default(),
            datapath: *b"ovs-system\0\0\0\0\0\0",
            port: *b"veth0\0\0\0\0\0\0\0\0\0\0\0",
        };
        if let Err(error) = Programs::load(&config, 1 << 16) {
            panic!("{error}: {error:?}");
        }
    }
}
