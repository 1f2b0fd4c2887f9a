//! The BPF programs in the kernel, and what they are attached to. Everything is undone when the
//! process ends, however it ends: nothing is pinned.

use std::num::NonZeroU32;
use std::path::Path;

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope};
use aya::programs::{KProbe, Program, ProgramError, TracePoint, UProbe};
use aya::{Ebpf, EbpfError, EbpfLoader, include_bytes_aligned};
use upspan_ebpf::argument::{MAX_PLACES, Place};
use upspan_ebpf::config::{CONFIG, Config};
use zerocopy::IntoBytes;

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

/// A USDT probe that has a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usdt {
    /// `dpif_recv:recv_upcall`.
    RecvUpcall,
    /// `dpif_netlink_operate__:op_flow_put`.
    OpFlowPut,
    /// `dpif_netlink_operate__:op_flow_execute`.
    OpFlowExecute,
}

impl Usdt {
    const ALL: [Self; 3] = [Self::RecvUpcall, Self::OpFlowPut, Self::OpFlowExecute];

    const fn program(self) -> &'static str {
        match self {
            Self::RecvUpcall => "recv_upcall",
            Self::OpFlowPut => "op_flow_put",
            Self::OpFlowExecute => "op_flow_execute",
        }
    }
}

/// The programs; see the module.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Programs {
    ebpf: Ebpf,
    places: Array<MapData, [u64; size_of::<Place>() / 8]>,
    attached: u32,
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
        for usdt in Usdt::ALL {
            program::<UProbe>(&mut ebpf, usdt.program())?
                .load()
                .map_err(EbpfError::ProgramError)?;
        }
        program::<TracePoint>(&mut ebpf, "dp_upcall")?.load().map_err(EbpfError::ProgramError)?;
        for name in ["dp_upcall_return", "ovs_pkt_exec"] {
            program::<KProbe>(&mut ebpf, name)?.load().map_err(EbpfError::ProgramError)?;
        }
        let map = ebpf.take_map("PLACES").ok_or(ProgramsError::Lacks("the map PLACES"))?;
        let places =
            Array::try_from(map).map_err(|source| ProgramsError::Map { name: "PLACES", source })?;
        Ok(Self { ebpf, places, attached: 0 })
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

    /// Attaches to one place of a USDT probe: `offset` bytes into a file; of all processes that
    /// have it mapped, or of one.
    ///
    /// # Errors
    ///
    /// The file cannot be probed there.
    pub fn attach_usdt(
        &mut self,
        usdt: Usdt,
        file: &Path,
        offset: u64,
        place: &Place,
        pid: Option<NonZeroU32>,
    ) -> Result<(), ProgramsError> {
        let cookie = self.attached;
        if cookie == MAX_PLACES {
            return Err(ProgramsError::TooManyPlaces);
        }
        let value: [u64; size_of::<Place>() / 8] = zerocopy::transmute!(*place);
        self.places
            .set(cookie, value, 0)
            .map_err(|source| ProgramsError::Map { name: "PLACES", source })?;
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(offset),
            cookie: Some(cookie.into()),
        };
        let scope = pid.map_or(UProbeScope::AllProcesses, UProbeScope::OneProcess);
        program::<UProbe>(&mut self.ebpf, usdt.program())?.attach(point, file, scope).map_err(
            |source| ProgramsError::Attach {
                to: format!("the probe {} of {}", usdt.program(), file.display()),
                source,
            },
        )?;
        self.attached += 1;
        Ok(())
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
            tracepoint: TracepointFields::default(),
            datapath: *b"ovs-system\0\0\0\0\0\0",
            port: *b"veth0\0\0\0\0\0\0\0\0\0\0\0",
        };
        if let Err(error) = Programs::load(&config, 1 << 16) {
            panic!("{error}: {error:?}");
        }
    }
}
