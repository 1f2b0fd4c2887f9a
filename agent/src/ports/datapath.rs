//! The ports of one datapath, by number and by name.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{PortDetails, PortNo};

/// A datapath: its name and its ports.
#[derive(Clone, Debug)]
pub(super) struct Datapath {
    /// The name as the system has it; `name` is the same, but for bytes that are not UTF-8.
    pub(super) raw_name: Vec<u8>,
    pub(super) name: String,
    ports: HashMap<PortNo, Port, foldhash::fast::FixedState>,
    by_name: HashMap<Vec<u8>, Holders, foldhash::fast::FixedState>,
}

/// A port that the datapath has, or had until it was removed.
#[derive(Clone, Debug)]
pub(super) struct Port {
    /// The name as the system has it; `name` is the same, but for bytes that are not UTF-8.
    pub(super) raw_name: Vec<u8>,
    pub(super) name: String,
    pub(super) details: PortDetails,
    pub(super) present: bool,
}

/// The ports that have, or had when they were removed, a certain name.
#[derive(Clone, Debug, Default)]
struct Holders {
    /// The one added last comes last.
    ports: SmallVec<[PortNo; 2]>,
    /// The one that the name means: kept, because it is asked for with every event.
    meant: Option<PortNo>,
}

impl Datapath {
    pub(super) fn new(name: &[u8]) -> Self {
        Self {
            raw_name: name.to_vec(),
            name: String::from_utf8_lossy(name).into_owned(),
            ports: HashMap::default(),
            by_name: HashMap::default(),
        }
    }

    /// How many ports are known, removed ones included.
    pub(super) fn len(&self) -> usize {
        self.ports.len()
    }

    pub(super) fn get(&self, number: PortNo) -> Option<&Port> {
        self.ports.get(&number)
    }

    pub(super) fn number(&self, name: &[u8]) -> Option<PortNo> {
        self.by_name.get(name)?.meant
    }

    /// The ports that have not been removed, in no order.
    pub(super) fn present(&self) -> impl Iterator<Item = (PortNo, &Port)> {
        self.ports.iter().filter(|(_, port)| port.present).map(|(number, port)| (*number, port))
    }

    /// Adds a port, or changes its name and details.
    pub(super) fn set(&mut self, number: PortNo, name: &[u8], details: PortDetails) {
        // The name has moved here from another port of the same namespace, which must have been
        // removed or renamed. In another namespace, it may well be a second port of this name.
        for other in self.by_name.get(name).into_iter().flat_map(|holders| &holders.ports) {
            if let Some(port) = self.ports.get_mut(other)
                && port.details.shares_namespace(&details)
            {
                port.present = false;
            }
        }
        let port = Port {
            raw_name: name.to_vec(),
            name: String::from_utf8_lossy(name).into_owned(),
            details,
            present: true,
        };
        if let Some(before) = self.ports.insert(number, port)
            && before.raw_name != name
        {
            self.unlink(number, &before.raw_name);
        }
        let holders = self.by_name.entry_ref(name).or_default();
        holders.ports.retain(|holder| *holder != number);
        holders.ports.push(number);
        holders.settle(&self.ports);
    }

    /// Marks a port as removed.
    pub(super) fn remove(&mut self, number: PortNo) {
        let Some(port) = self.ports.get_mut(&number) else { return };
        port.present = false;
        if let Some(holders) = self.by_name.get_mut(&port.raw_name) {
            holders.settle(&self.ports);
        }
    }

    /// Marks all ports as removed.
    pub(super) fn remove_all(&mut self) {
        self.ports.values_mut().for_each(|port| port.present = false);
        self.by_name.values_mut().for_each(|holders| holders.settle(&self.ports));
    }

    /// Forgets the ports that have been removed.
    pub(super) fn forget_removed(&mut self) {
        let removed: Vec<_> = self.ports.extract_if(|_, port| !port.present).collect();
        for (number, port) in removed {
            self.unlink(number, &port.raw_name);
        }
    }

    /// Takes a port's name from it.
    fn unlink(&mut self, number: PortNo, name: &[u8]) {
        let Some(holders) = self.by_name.get_mut(name) else { return };
        holders.ports.retain(|holder| *holder != number);
        if holders.ports.is_empty() {
            self.by_name.remove(name);
        } else {
            holders.settle(&self.ports);
        }
    }
}

impl Holders {
    /// Decides which port the name means: the only one that is present; of several, none, because
    /// a guess may be wrong; if all were removed, the one added last.
    fn settle(&mut self, ports: &HashMap<PortNo, Port, foldhash::fast::FixedState>) {
        let is_present = |number: &&PortNo| ports.get(*number).is_some_and(|port| port.present);
        let mut present = self.ports.iter().filter(is_present);
        self.meant = match (present.next(), present.next()) {
            (Some(only), None) => Some(*only),
            (Some(_), Some(_)) => None,
            (None, _) => self.ports.last().copied(),
        };
    }
}
