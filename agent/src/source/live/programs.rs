//! The BPF programs in the kernel, and what they are attached to. Everything is undone when the
//! process ends, however it ends: nothing is pinned.

use std::num::NonZeroU32;

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLinkId, UProbeScope};
use aya::programs::{KProbe, Program, ProgramError, TracePoint, UProbe};
use aya::{Ebpf, EbpfError, EbpfLoader, include_bytes_aligned};
use upspan_ebpf::argument::{MAX_PLACES, Place};
use upspan_ebpf::config::{CONFIG, Config};
use zerocopy::IntoBytes;

use super::usdt::probes::{Probe, ProbeKind};
use super::usdt::process::Pid;

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/upspan-ebpf"));

/// Why the programs are not in place.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// The kernel refuses them.
    #[error("the kernel does not take the BPF programs: {0:#}; see upspan's log of the verifier")]
    Load(#[from] EbpfError),
    /// A program was not attached.
    #[error("cannot attach to {to}: {source}")]
    Attach {
        /// What it was to be attached to.
        to: String,
        /// Why it was not.
        source: ProgramError,
    },
    /// A map is not usable.
    #[error("cannot use the BPF map {name}: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// Why not.
        source: aya::maps::MapError,
    },
    /// The object that was built in lacks something.
    #[error("the BPF object lacks {0}: upspan was built from files that do not fit together")]
    Lacks(&'static str),
    /// More probes than the programs can tell apart.
    #[error("more than {MAX_PLACES} places of USDT probes: name one process with --pid")]
    TooManyPlaces,
}

/// The program of a probe.
const fn name(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::RecvUpcall => "recv_upcall",
        ProbeKind::FlowPut => "op_flow_put",
        ProbeKind::FlowExecute => "op_flow_execute",
    }
}

/// One place of a probe that a program is attached to.
#[derive(Debug)]
pub struct Attached {
    kind: ProbeKind,
    link: UProbeLinkId,
    /// What it is known by to the program: its position in the map `PLACES`.
    cookie: u32,
}

/// The programs; see the module.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Programs {
    ebpf: Ebpf,
    places: Array<MapData, [u64; size_of::<Place>() / 8]>,
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
        let mut ebpf = EbpfLoader::new()
            .override_global(CONFIG, config.as_bytes(), true)
            .map_max_entries("EVENTS", ring_bytes)
            .load(OBJECT)?;
        for kind in ProbeKind::ALL {
            program::<UProbe>(&mut ebpf, name(kind))?.load().map_err(EbpfError::ProgramError)?;
        }
        program::<TracePoint>(&mut ebpf, "dp_upcall")?.load().map_err(EbpfError::ProgramError)?;
        for name in ["dp_upcall_return", "ovs_pkt_exec"] {
            program::<KProbe>(&mut ebpf, name)?.load().map_err(EbpfError::ProgramError)?;
        }
        let map = ebpf.take_map("PLACES").ok_or(ProgramsError::Lacks("the map PLACES"))?;
        let places =
            Array::try_from(map).map_err(|source| ProgramsError::Map { name: "PLACES", source })?;
        Ok(Self { ebpf, places, cookies: (0..MAX_PLACES).rev().collect() })
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
        let attach = |to: &str| {
            let to = to.to_owned();
            |source| ProgramsError::Attach { to, source }
        };
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

    /// Attaches to one place of a USDT probe, in one process and what it forks.
    ///
    /// # Errors
    ///
    /// The file cannot be probed there.
    pub fn attach_usdt(
        &mut self,
        probe: &Probe,
        place: &Place,
        pid: Pid,
    ) -> Result<Attached, ProgramsError> {
        let cookie = *self.cookies.last().ok_or(ProgramsError::TooManyPlaces)?;
        let value: [u64; size_of::<Place>() / 8] = zerocopy::transmute!(*place);
        self.places
            .set(cookie, value, 0)
            .map_err(|source| ProgramsError::Map { name: "PLACES", source })?;
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(probe.offset.0),
            cookie: Some(cookie.into()),
        };
        let scope =
            NonZeroU32::new(pid.0).map_or(UProbeScope::AllProcesses, UProbeScope::OneProcess);
        let link = program::<UProbe>(&mut self.ebpf, name(probe.kind))?
            .attach(point, probe.file.attach_path(), scope)
            .map_err(|source| ProgramsError::Attach {
                to: format!("the probe {} of {}", probe.kind, probe.file.path().display()),
                source,
            })?;
        self.cookies.pop();
        Ok(Attached { kind: probe.kind, link, cookie })
    }

    /// Lets go of a place.
    pub fn detach(&mut self, attached: Attached) {
        let Attached { kind, link, cookie } = attached;
        let detached = program::<UProbe>(&mut self.ebpf, name(kind))
            .is_ok_and(|program| program.detach(link).is_ok());
        // Otherwise it goes when the agent ends.
        if detached {
            self.cookies.push(cookie);
        }
    }
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
