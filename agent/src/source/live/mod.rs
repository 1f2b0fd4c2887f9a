//! Live capture: events of the Open vSwitch of this node, by eBPF.
//!
//! The programs write records into a ring buffer ([`programs`]); [`capture`] takes them out, with
//! losses where they happened; [`record`] decodes them. USDT probes are found in the running
//! processes ([`usdt`], [`targets`]), names of ports come by netlink ([`ports`]).

pub mod capabilities;
pub mod capture;
pub mod clock;
pub mod kernel;
pub mod losses;
pub mod ports;
pub mod programs;
pub mod record;
pub mod targets;
pub mod usdt;

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use aya::maps::MapError;
use upspan_ebpf::config::{Config, upcalls};

use self::capabilities::MissingCapabilities;
use self::capture::{Capture, FromRing};
use self::record::LiveRecord;
use self::kernel::btf::{self, Btf, BtfError};
use self::kernel::tracepoint::{self, TracepointError};
use self::ports::{MonitorError, PortMonitor};
use self::programs::{Programs, ProgramsError};
use self::targets::{Targets, TargetsError};
use crate::event::Ordinal;
use crate::ports::Ports;
use crate::source::Record;

/// How to capture.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// Only this vswitchd; all of the node if `None`.
    pub pid: Option<NonZeroU32>,
    /// Most bytes of a packet to capture: 64 to 2048.
    pub packet_limit: u32,
    /// Most bytes of a flow key to capture: 64 to 2048.
    pub key_limit: u32,
    /// Size of the ring buffer: a power of two, and whole pages.
    pub ring_bytes: u32,
}

/// Why nothing is captured.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// See [`MissingCapabilities`].
    #[error(transparent)]
    Capabilities(#[from] MissingCapabilities),
    /// See [`TracepointError`].
    #[error(transparent)]
    Tracepoint(#[from] TracepointError),
    /// See [`BtfError`].
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// See [`ProgramsError`].
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// See [`TargetsError`].
    #[error(transparent)]
    Targets(#[from] TargetsError),
    /// See [`MonitorError`].
    #[error(transparent)]
    Ports(#[from] MonitorError),
    /// The counts of lost records cannot be read.
    #[error("cannot read how many events were lost: {0}")]
    Losses(#[from] MapError),
}

/// A capture that is under way. It ends when it is dropped, and leaves nothing behind.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Live {
    programs: Programs,
    capture: Capture,
    targets: Targets,
    monitor: PortMonitor,
    ports: Ports,
    /// Of the next event.
    ordinal: u64,
}

impl Live {
    /// Loads the programs and attaches them.
    ///
    /// # Errors
    ///
    /// Something is missing or not permitted; the text says what to do.
    pub fn start(options: &CaptureOptions) -> Result<Self, LiveError> {
        capabilities::check()?;
        let config = Config {
            packet_limit: options.packet_limit,
            key_limit: options.key_limit,
            wake_at: options.ring_bytes / 8,
            upcalls: upcalls::MISS | upcalls::ACTION,
            skb_data: Btf::read(Path::new(btf::VMLINUX))?.offset("sk_buff", "data")?,
            tracepoint: tracepoint::ovs_dp_upcall()?,
            ..Config::default()
        };
        let mut ports = Ports::default();
        let mut monitor = PortMonitor::open()?;
        monitor.update(&mut ports)?;
        let mut targets = Targets::new(options.pid);
        let mut programs = Programs::load(&config, options.ring_bytes)?;
        let capture = Capture::new(&mut programs)?;
        targets.start(&mut programs)?;
        // Last, so that no upcall is seen in the kernel whose other events are not.
        programs.attach_kernel()?;
        Ok(Self { programs, capture, targets, monitor, ports, ordinal: 0 })
    }

    /// The ports as they are known now.
    #[must_use]
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Takes what is in the ring buffer, `most` records at most: as it was captured, and as a
    /// record of a source.
    ///
    /// # Errors
    ///
    /// The kernel does not say what was lost, or which ports there are.
    pub fn drain(
        &mut self,
        most: usize,
        mut take: impl FnMut(&FromRing<'_>, &Record<'_>, &Ports),
    ) -> Result<(), LiveError> {
        self.monitor.update(&mut self.ports)?;
        let Self { capture, ports, ordinal, .. } = self;
        capture.drain(most, |captured| {
            let record = match &captured {
                FromRing::Record(record) => {
                    let at = Ordinal(*ordinal);
                    *ordinal += u64::from(matches!(record, LiveRecord::Event(_)));
                    record.record(at, ports)
                }
                FromRing::Gap => Record::Unreadable,
                &FromRing::Lost(kind, count) => Record::Lost { kind, count },
            };
            take(&captured, &record, ports);
        })?;
        Ok(())
    }

    /// Looks for processes that have come or gone since.
    pub fn follow(&mut self) {
        self.targets.follow(&mut self.programs);
    }

    /// Waits until much of the ring buffer is full, or for so long.
    pub fn wait(&self, most: Duration) {
        self.capture.wait(most);
    }
}
