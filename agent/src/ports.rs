//! Datapaths and their ports: numbers to names and back.

mod datapath;
mod port;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::port::{IfIndex, NetnsId, PortDetails, PortType};

use self::datapath::Datapath;

/// Port number within a datapath (`odp_port_t`, u32 in the kernel's flow key).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortNo(pub u32);

impl PortNo {
    /// The port that has its datapath's own name (`OVSP_LOCAL`).
    pub const LOCAL: Self = Self(0);
}

/// A datapath known to [`Ports`]: its position there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DatapathId(u16);

/// The prefix of vswitchd's name of a kernel datapath (`system@ovs-system`), which the kernel's
/// own name (`ovs-system`) lacks.
const SYSTEM_PREFIX: &[u8] = b"system@";

/// Names and ports of all datapaths seen. Bounded by what the node has: it grows with datapaths
/// and ports, not with events.
///
/// Upcalls of a port can still be on their way when the port is removed. So a removed port can be
/// looked up until its number is used again, which happens soon: the kernel gives the lowest free
/// one. A datapath that is removed stays, and keeps its id when it is created again.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    datapaths: Vec<Datapath>,
}

impl Ports {
    /// Most datapaths that are kept apart; later ones are refused, so that arbitrary input cannot
    /// grow the table.
    pub const MAX_DATAPATHS: usize = 1024;

    /// The datapath of this name, with or without the prefix `system@`; it is added when new.
    /// `None` when the table is full.
    pub fn datapath(&mut self, name: &[u8]) -> Option<DatapathId> {
        let name = name.strip_prefix(SYSTEM_PREFIX).unwrap_or(name);
        if let Some(id) = self.find(name) {
            return Some(id);
        }
        if self.datapaths.len() == Self::MAX_DATAPATHS {
            return None;
        }
        let id = DatapathId(u16::try_from(self.datapaths.len()).ok()?);
        self.datapaths.push(Datapath::new(name));
        Some(id)
    }

    /// The datapath of this name, with or without the prefix `system@`, if it is known.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<DatapathId> {
        let name = name.strip_prefix(SYSTEM_PREFIX).unwrap_or(name);
        let index = self.datapaths.iter().position(|dp| dp.raw_name == name)?;
        Some(DatapathId(u16::try_from(index).ok()?))
    }

    /// Most ports of a datapath: `DP_MAX_PORTS` of the kernel's net/openvswitch/datapath.h.
    pub const MAX_PORTS: usize = 65_535;

    /// Adds or renames a port of which no more is known; one too many is left out.
    pub fn add_port(&mut self, datapath: DatapathId, number: PortNo, name: &[u8]) {
        let dp = &mut self.datapaths[usize::from(datapath.0)];
        if dp.len() < Self::MAX_PORTS || dp.get(number).is_some() {
            dp.set(number, name, PortDetails::default());
        }
    }

    /// Adds a port, or changes its name and details. Ports that were removed make room for it;
    /// one too many is left out.
    pub fn set_port(
        &mut self,
        datapath: DatapathId,
        number: PortNo,
        name: &[u8],
        details: PortDetails,
    ) {
        let dp = &mut self.datapaths[usize::from(datapath.0)];
        if dp.len() >= Self::MAX_PORTS && dp.get(number).is_none() {
            dp.forget_removed();
        }
        if dp.len() < Self::MAX_PORTS || dp.get(number).is_some() {
            dp.set(number, name, details);
        }
    }

    /// Removes a port. Its number and name can be looked up until the number is used again.
    pub fn remove_port(&mut self, datapath: DatapathId, number: PortNo) {
        if let Some(dp) = self.datapaths.get_mut(usize::from(datapath.0)) {
            dp.remove(number);
        }
    }

    /// Removes all ports of a datapath, as [`Self::remove_port`] does with one.
    pub fn remove_ports(&mut self, datapath: DatapathId) {
        if let Some(dp) = self.datapaths.get_mut(usize::from(datapath.0)) {
            dp.remove_all();
        }
    }

    /// The number of the port with this name. `None` if several ports have it: in different
    /// network namespaces they may, as Kube-OVN's internal ports do, which are all `eth0`.
    #[must_use]
    pub fn number(&self, datapath: DatapathId, name: &[u8]) -> Option<PortNo> {
        self.datapaths.get(usize::from(datapath.0))?.number(name)
    }

    /// The name of the port with this number.
    #[must_use]
    pub fn name(&self, datapath: DatapathId, number: PortNo) -> Option<&str> {
        Some(&self.datapaths.get(usize::from(datapath.0))?.get(number)?.name)
    }

    /// What else is known of the port with this number.
    #[must_use]
    pub fn details(&self, datapath: DatapathId, number: PortNo) -> Option<PortDetails> {
        Some(self.datapaths.get(usize::from(datapath.0))?.get(number)?.details)
    }

    /// The ports that a datapath has now, with their names as the system has them; in no order.
    pub fn present(&self, datapath: DatapathId) -> impl Iterator<Item = (PortNo, &[u8])> {
        let dp = self.datapaths.get(usize::from(datapath.0)).into_iter();
        dp.flat_map(Datapath::present).map(|(number, port)| (number, port.raw_name.as_slice()))
    }

    /// All datapaths, whether or not they have ports now.
    pub fn datapaths(&self) -> impl Iterator<Item = DatapathId> {
        (0..).map(DatapathId).take(self.datapaths.len())
    }

    /// The name of a datapath, without the prefix `system@`.
    #[must_use]
    pub fn datapath_name(&self, datapath: DatapathId) -> &str {
        self.datapaths.get(usize::from(datapath.0)).map_or("", |dp| &dp.name)
    }

    /// Whether no port is known at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datapaths.iter().all(|dp| dp.len() == 0)
    }
}
