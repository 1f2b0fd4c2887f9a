//! The BPF programs in the kernel, and what they are attached to. Everything is undone when the
//! process ends, however it ends: nothing is pinned.

mod error;

use std::sync::Arc;

use aya::maps::{Array, Map, MapData, RingBuf};
use aya::programs::{KProbe, Program, TracePoint};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use tracing::debug;
use upspan_ebpf::config::Config;
use upspan_ebpf::constant::Constant;
use upspan_ebpf::ring::chunks;
use zerocopy::IntoBytes;

use super::kernel::cpus;
use super::place::constant;
use super::ring::Ring;
use super::uprobe::{Code, Instructions, Method, Site, UprobeLink, UprobeProgram, object_with};
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
    /// One for each place: where its arguments are is written into the program.
    links: Vec<UprobeLink>,
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
        self.links.len()
    }
}

/// The programs; see the module.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Programs {
    ebpf: Ebpf,
    ring_bytes: u32,
    /// Of the probes of [`ProbeKind::ALL`], in this order: without what is special to a place.
    uprobes: [Instructions; ProbeKind::ALL.len()],
    method: Method,
}

impl Programs {
    /// Loads those of the kernel. [`Config::ring_bytes`] is the size of the ring buffer.
    ///
    /// # Errors
    ///
    /// The kernel refuses them.
    pub fn load(config: &Config) -> Result<Self, ProgramsError> {
        Self::load_for(None, config)
    }

    /// As [`Programs::load`], with a method of attaching to processes, or the best that this
    /// kernel has.
    ///
    /// # Errors
    ///
    /// As for [`Programs::load`].
    pub fn load_for(method: Option<Method>, config: &Config) -> Result<Self, ProgramsError> {
        let cpus = cpus::number_limit().map_err(ProgramsError::Cpus)?;
        let object = object_with(OBJECT, |constant| match constant {
            Constant::Setting(setting) => Some(config.get(setting)),
            Constant::Argument(..) => None,
        });
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("EVENTS", chunks(config.ring_bytes.into()))
            // One for the positions, and one for each.
            .map_max_entries("STATE", cpus.saturating_add(1))
            .load(object.as_bytes())?;
        let code = Code::new(object.as_bytes(), &ebpf)?;
        let [recv_upcall, op_flow_put, op_flow_execute] =
            ProbeKind::ALL.map(|kind| code.program(name(kind)));
        let uprobes = [recv_upcall?, op_flow_put?, op_flow_execute?];
        let method = match method {
            Some(method) => method,
            None => best_method(&code)?,
        };
        let tracepoint = program::<TracePoint>(&mut ebpf, "dp_upcall")?.load();
        tracepoint.map_err(|error| ProgramsError::rejected("dp_upcall", error))?;
        for name in ["dp_upcall_return", "ovs_pkt_exec"] {
            let loaded = program::<KProbe>(&mut ebpf, name)?.load();
            loaded.map_err(|error| ProgramsError::rejected(name, error))?;
        }
        Ok(Self { ebpf, ring_bytes: config.ring_bytes, uprobes, method })
    }

    /// The ring buffer. Only one may take records out of it.
    ///
    /// # Errors
    ///
    /// It cannot be mapped.
    pub fn ring(&self) -> Result<Ring, ProgramsError> {
        let array = |name| match self.ebpf.map(name) {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(ProgramsError::Lacks(name)),
        };
        Ring::new(array("EVENTS")?, array("STATE")?, self.ring_bytes.into())
            .map_err(ProgramsError::Ring)
    }

    /// What wakes up whoever waits for records.
    ///
    /// # Errors
    ///
    /// It was taken before, or cannot be mapped.
    pub fn take_doorbell(&mut self) -> Result<RingBuf<MapData>, ProgramsError> {
        let map = self.ebpf.take_map("DOORBELL").ok_or(ProgramsError::Lacks("DOORBELL"))?;
        RingBuf::try_from(map).map_err(|source| ProgramsError::Map { name: "DOORBELL", source })
    }

    /// How many records there was no room for, by kind.
    ///
    /// # Errors
    ///
    /// It was taken before.
    pub fn take_lost(&mut self) -> Result<Array<MapData, u64>, ProgramsError> {
        let map = self.ebpf.take_map("LOST").ok_or(ProgramsError::Lacks("LOST"))?;
        Array::try_from(map).map_err(|source| ProgramsError::Map { name: "LOST", source })
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
    pub fn attach_usdt(&self, probes: &Probes) -> Vec<Result<Attached, ProgramsError>> {
        let pid = probes.process.pid;
        let mut results = Vec::new();
        for (kind, code) in ProbeKind::ALL.into_iter().zip(&self.uprobes) {
            let found: Vec<_> = probes.found.iter().filter(|probe| probe.kind == kind).collect();
            // Those of a file were found one after the other.
            for found in found.chunk_by(|one, other| Arc::ptr_eq(&one.file, &other.file)) {
                let links = found.iter().map(|probe| attach(code, probe, self.method, pid));
                results.push(links.collect::<Result<_, _>>().map(|links| Attached { kind, links }));
            }
        }
        results
    }
}

/// Attaches to a place of a probe.
fn attach(
    code: &Instructions,
    probe: &Probe,
    method: Method,
    pid: Pid,
) -> Result<UprobeLink, ProgramsError> {
    let code = code.clone().with(|wanted| match wanted {
        Constant::Argument(argument, field) => Some(constant(&probe.arguments, argument, field)),
        Constant::Setting(_) => None,
    });
    let program = UprobeProgram::load(name(probe.kind), &code, method)?;
    let site = Site { offset: probe.offset, semaphore: probe.semaphore };
    program.attach(&probe.file.attach_path(), site, pid).map_err(|source| {
        ProgramsError::AttachUsdt {
            kind: probe.kind,
            path: probe.file.path().to_owned(),
            pid,
            source,
        }
    })
}

fn best_method(code: &Code) -> Result<Method, ProgramsError> {
    // One without arguments, which is whole as it is. Kernels without uprobe_multi may refuse
    // programs for it or take them.
    let name = name(ProbeKind::FlowPut);
    let tried = UprobeProgram::load(name, &code.program(name)?, Method::Multi);
    if tried.is_ok_and(|program| program.multi_works()) {
        debug!("attaching by {}", Method::Multi);
        return Ok(Method::Multi);
    }
    let method = Method::Perf;
    debug!("attaching by {method}: this kernel has no uprobe_multi, or one that sees one thread");
    UprobeProgram::load(name, &code.program(name)?, method)?;
    Ok(method)
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
    use upspan_ebpf::config::upcalls;

    use super::super::kernel::tracepoint::LINUX_6_12;
    use super::*;

    #[test]
    fn the_verifier_takes_the_programs() {
        let config = Config {
            packet_limit: 2048,
            key_limit: 2048,
            upcalls: upcalls::MISS | upcalls::ACTION,
            skb_data: 208,
            ring_bytes: 1 << 16,
            wake_bytes: 1 << 13,
            tracepoint: LINUX_6_12,
            datapath: *b"ovs-system\0\0\0\0\0\0",
            port: *b"veth0\0\0\0\0\0\0\0\0\0\0\0",
        };
        if let Err(error) = Programs::load(&config) {
            panic!("{error}: {error:?}");
        }
    }
}
