//! Datapaths and their ports: numbers to names and back.

use hashbrown::HashMap;
use serde::Serialize;

/// Port number within a datapath (`odp_port_t`, u32 in the kernel's flow key).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortNo(pub u32);

/// A datapath known to [`Ports`]: its position there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DatapathId(u16);

/// The prefix of vswitchd's name of a kernel datapath (`system@ovs-system`), which the kernel's
/// own name (`ovs-system`) lacks.
const SYSTEM_PREFIX: &[u8] = b"system@";

/// Names and ports of all datapaths seen. Bounded by what the node has: it grows with datapaths
/// and ports, not with events.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    datapaths: Vec<Datapath>,
}

#[derive(Clone, Debug)]
struct Datapath {
    /// The name as the system has it; `name` is the same, but for bytes that are not UTF-8.
    raw_name: Vec<u8>,
    name: String,
    by_name: HashMap<Vec<u8>, PortNo, foldhash::fast::FixedState>,
    by_number: HashMap<PortNo, String, foldhash::fast::FixedState>,
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
        self.datapaths.push(Datapath {
            raw_name: name.to_vec(),
            name: String::from_utf8_lossy(name).into_owned(),
            by_name: HashMap::default(),
            by_number: HashMap::default(),
        });
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

    /// Adds or renames a port; one too many is left out.
    pub fn add_port(&mut self, datapath: DatapathId, number: PortNo, name: &[u8]) {
        let dp = &mut self.datapaths[usize::from(datapath.0)];
        if dp.by_name.len().max(dp.by_number.len()) >= Self::MAX_PORTS {
            return;
        }
        dp.by_name.insert(name.to_vec(), number);
        dp.by_number.insert(number, String::from_utf8_lossy(name).into_owned());
    }

    /// The number of the port with this name.
    #[must_use]
    pub fn number(&self, datapath: DatapathId, name: &[u8]) -> Option<PortNo> {
        self.datapaths.get(usize::from(datapath.0))?.by_name.get(name).copied()
    }

    /// The name of the port with this number.
    #[must_use]
    pub fn name(&self, datapath: DatapathId, number: PortNo) -> Option<&str> {
        self.datapaths.get(usize::from(datapath.0))?.by_number.get(&number).map(String::as_str)
    }

    /// The name of a datapath, without the prefix `system@`.
    #[must_use]
    pub fn datapath_name(&self, datapath: DatapathId) -> &str {
        self.datapaths.get(usize::from(datapath.0)).map_or("", |dp| &dp.name)
    }

    /// Whether no port is known at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datapaths.iter().all(|dp| dp.by_number.is_empty())
    }
}
