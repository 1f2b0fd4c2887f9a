//! Live capture: events of the Open vSwitch of this node, by eBPF.
//!
//! The programs write records into a ring buffer ([`programs`]); [`capture`] takes them out, with
//! losses where they happened; [`record`] decodes them. USDT probes are found in the running
//! processes ([`usdt`], [`targets`]), names of ports come by netlink ([`ports`]).

pub mod capabilities;
pub mod capture;
pub mod clock;
mod filter;
pub mod kernel;
pub mod losses;
pub mod origin;
mod place;
pub mod ports;
pub mod programs;
pub mod record;
#[expect(unsafe_code, reason = "memory that is shared with the BPF programs")]
pub mod ring;
pub mod targets;
pub mod threads;
pub mod uprobe;
pub mod usdt;
pub mod verifier;

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::warn;
use upspan_ebpf::config::Config;

use self::capabilities::MissingCapabilities;
use self::capture::{Capture, CaptureError, FromRing, Left};
pub use self::filter::{Name, NameError, UpcallTypes};

use self::kernel::btf::{self, Btf, BtfError};
use self::kernel::tracepoint::{self, TracepointError};
use self::ports::{MonitorError, PortMonitor};
use self::programs::{Programs, ProgramsError};
use self::record::LiveRecord;
use self::targets::{Targets, TargetsError};
use crate::event::{MonotonicNs, Ordinal, Unusable};
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
    /// Types of upcalls to capture.
    pub upcalls: UpcallTypes,
    /// Only upcalls of this datapath.
    pub datapath: Option<Name>,
    /// Only `dp_upcall`s of the port with this name.
    pub port: Option<Name>,
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
    /// See [`CaptureError`].
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// What a capture yields.
#[derive(Clone, Copy, Debug)]
pub enum Taken<'a> {
    /// Ports have changed: they are new from here on.
    Ports,
    /// As it was captured, and as a record of a source.
    Record(&'a FromRing<'a>, Record<'a>),
}

/// Names of ports, as far as the kernel tells them.
#[derive(Debug)]
struct Names {
    monitor: PortMonitor,
    /// When all of them were last asked for because of an unknown one.
    asked: Option<Instant>,
}

impl Names {
    /// Least time between two questions for all ports.
    const ASK: Duration = Duration::from_secs(1);

    fn update(&mut self, ports: &mut Ports, take: &mut impl FnMut(Taken<'_>, &Ports)) {
        match self.monitor.update(ports) {
            Ok(changes) if changes.announced > 0 || changes.dumps > 0 => take(Taken::Ports, ports),
            Ok(_) => {}
            // It goes on with the next update.
            Err(error) => warn!("cannot follow the ports: {error}"),
        }
    }

    /// For a port that is not known: what was announced meanwhile, or else all of them anew, as
    /// not all changes are announced.
    fn look_again(&mut self, ports: &mut Ports, take: &mut impl FnMut(Taken<'_>, &Ports)) {
        if self.asked.is_none_or(|asked| asked.elapsed() >= Self::ASK) {
            self.asked = Some(Instant::now());
            self.monitor.request_dump();
        }
        self.update(ports, take);
    }
}

/// A capture that is under way. It ends when it is dropped, and leaves nothing behind.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Live {
    programs: Programs,
    capture: Capture,
    targets: Targets,
    names: Names,
    ports: Ports,
    /// When all programs were in place. Of an upcall from before, only a part was seen.
    since: MonotonicNs,
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
            ring_bytes: options.ring_bytes,
            wake_bytes: options.ring_bytes / 8,
            upcalls: options.upcalls.bits(),
            datapath: options.datapath.map(Name::padded).unwrap_or_default(),
            port: options.port.map(Name::padded).unwrap_or_default(),
            skb_data: Btf::read(Path::new(btf::VMLINUX))?.offset("sk_buff", "data")?,
            tracepoint: tracepoint::ovs_dp_upcall()?,
        };
        let mut ports = Ports::default();
        let mut monitor = PortMonitor::open()?;
        monitor.update(&mut ports)?;
        let mut targets = Targets::new(options.pid);
        let mut programs = Programs::load(&config)?;
        let capture = Capture::new(&mut programs)?;
        targets.start(&mut programs)?;
        // Last, so that no upcall is seen in the kernel whose other events are not.
        programs.attach_kernel()?;
        let names = Names { monitor, asked: None };
        Ok(Self { programs, capture, targets, names, ports, since: clock::now(), ordinal: 0 })
    }

    /// The ports as they are known now.
    #[must_use]
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Brings the ports up to date, and takes what is in the ring buffer: `most` records at most.
    ///
    /// # Errors
    ///
    /// See [`CaptureError`].
    pub fn drain(
        &mut self,
        most: usize,
        mut take: impl FnMut(Taken<'_>, &Ports),
    ) -> Result<Left, LiveError> {
        self.names.update(&mut self.ports, &mut take);
        let Self { capture, ports, names, since, ordinal, .. } = self;
        let left = capture.drain(most, |from_ring| {
            let record = match &from_ring {
                FromRing::Record(record) if record.ts() < *since => return,
                FromRing::Record(record) => {
                    let at = Ordinal(*ordinal);
                    *ordinal += u64::from(matches!(record, LiveRecord::Event(_)));
                    match record.record(at, ports) {
                        // The port may be newer than the last look.
                        Record::Unusable { reason: Unusable::UnknownPort, .. } => {
                            names.look_again(ports, &mut take);
                            record.record(at, ports)
                        }
                        record => record,
                    }
                }
                FromRing::Gap => Record::Unreadable,
                &FromRing::Lost(kind, count) => Record::Lost { kind, count },
            };
            take(Taken::Record(&from_ring, record), ports);
        })?;
        Ok(left)
    }

    /// Looks for processes that have come or gone since.
    pub fn follow(&mut self) {
        self.targets.follow(&mut self.programs);
    }

    /// Waits until much of the ring buffer is full, or for so long.
    pub fn wait(&mut self, most: Duration) {
        let _woken = self.capture.wait(most);
    }

    /// Waits for the next record, or for so long; see [`Capture::wait_for_next`].
    pub fn wait_for_next(&mut self, most: Duration) {
        let _has_come = self.capture.wait_for_next(most);
    }
}
