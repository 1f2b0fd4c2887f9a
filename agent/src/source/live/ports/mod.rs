//! The datapaths and ports of the kernel's Open vSwitch, followed by generic netlink.
//!
//! The families `ovs_datapath` and `ovs_vport` list them, and announce changes to their multicast
//! groups (net/openvswitch/datapath.c of the kernel). They show the network namespace of the
//! process: on a node, that must be the host's.

mod engine;
mod error;
mod family;
mod link;
mod message;
mod mirror;
mod openvswitch;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd};

use crate::ports::Ports;

pub use self::engine::Changes;
pub use self::error::MonitorError;

use self::engine::Engine;
use self::link::KernelLink;

/// Keeps a port table like the kernel's.
///
/// Nothing here waits: a thread that has other work calls [`PortMonitor::update`] now and then,
/// or when the socket becomes readable ([`AsFd`]). An update with nothing new costs one system
/// call.
///
/// What the kernel announces is applied in its order. If announcements were lost, because they
/// were not read for too long, everything is dumped anew. If the module is unloaded, all ports are
/// gone; when it is loaded again, they are followed again.
///
/// The kernel does not announce that a network device gets another name or namespace. If an event
/// names a port that is not known, [`PortMonitor::request_dump`] brings it.
///
/// ```no_run
/// use upspan::ports::Ports;
/// use upspan::source::live::ports::PortMonitor;
///
/// # fn main() -> Result<(), upspan::source::live::ports::MonitorError> {
/// let mut ports = Ports::default();
/// let mut monitor = PortMonitor::open()?;
/// monitor.update(&mut ports)?; // The first one lists everything.
/// for datapath in ports.datapaths() {
///     println!("{}: {} ports", ports.datapath_name(datapath), ports.present(datapath).count());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PortMonitor {
    engine: Engine<KernelLink>,
}

impl PortMonitor {
    /// Opens a netlink socket and subscribes to changes. This makes the kernel load the module
    /// `openvswitch`, if it has it and it is not loaded.
    ///
    /// # Errors
    ///
    /// The kernel has no Open vSwitch, or the process may not use netlink. Reading needs no
    /// capability.
    pub fn open() -> Result<Self, MonitorError> {
        let link = KernelLink::open()
            .map_err(|error| MonitorError::new("open a netlink socket", error))?;
        Ok(Self { engine: Engine::start(link)? })
    }

    /// Brings a port table up to date, without waiting. Always to be called with the same table.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or the socket fails. A later update tries again.
    pub fn update(&mut self, ports: &mut Ports) -> Result<Changes, MonitorError> {
        self.engine.update(ports)
    }

    /// Lets the next update dump everything, which costs the kernel a message for each port.
    pub fn request_dump(&mut self) {
        self.engine.want_dump();
    }

    /// How many datapaths there were at the last update.
    #[must_use]
    pub fn datapaths(&self) -> usize {
        self.engine.datapaths()
    }
}

impl AsFd for PortMonitor {
    /// Readable when there is something to update.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.engine.link.as_fd()
    }
}
