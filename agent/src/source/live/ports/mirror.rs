//! What the kernel said, carried over into a port table.

use hashbrown::HashMap;

use crate::ports::{IfIndex, PortDetails, PortNo, PortType, Ports};

use super::openvswitch::{DatapathChange, DatapathInfo, DpIfIndex, PortChange, PortInfo};

/// Knows the datapaths by the interface index that the kernel's messages name them by. [`Ports`]
/// knows them by name, as the events do.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    datapaths: HashMap<DpIfIndex, Vec<u8>>,
}

/// Everything there is, as the kernel listed it.
#[derive(Debug, Default)]
pub(super) struct Dump {
    pub(super) datapaths: Vec<DatapathInfo>,
    pub(super) ports: Vec<PortInfo>,
}

/// A port was announced of a datapath that was not: something has been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownDatapath;

impl Mirror {
    /// How many datapaths there are.
    pub(super) fn len(&self) -> usize {
        self.datapaths.len()
    }

    /// Carries an announced datapath over.
    pub(super) fn datapath(&mut self, change: DatapathChange, ports: &mut Ports) {
        match change {
            DatapathChange::Here(DatapathInfo { ifindex, name }) => {
                if self.datapaths.get(&ifindex) == Some(&name) {
                    return; // Something else of it was set.
                }
                remove_ports(&name, ports);
                self.datapaths.retain(|_, other| *other != name);
                if let Some(before) = self.datapaths.insert(ifindex, name.clone()) {
                    remove_ports(&before, ports);
                }
                // The kernel creates this port with the datapath, and does not announce it
                // (ovs_dp_cmd_new in net/openvswitch/datapath.c).
                if let Some(id) = ports.datapath(&name) {
                    let details = PortDetails {
                        port_type: Some(PortType::Internal),
                        ifindex: u32::try_from(ifindex.0).ok().map(IfIndex),
                        netns: None,
                    };
                    ports.set_port(id, PortNo::LOCAL, &name, details);
                }
            }
            DatapathChange::Gone(ifindex) => {
                if let Some(name) = self.datapaths.remove(&ifindex) {
                    remove_ports(&name, ports);
                }
            }
        }
    }

    /// Carries an announced port over.
    pub(super) fn port(
        &mut self,
        change: PortChange,
        ports: &mut Ports,
    ) -> Result<(), UnknownDatapath> {
        match change {
            PortChange::Here(port) => {
                let name = self.datapaths.get(&port.datapath).ok_or(UnknownDatapath)?;
                // Where the table is full of datapaths, this one is left out.
                if let Some(id) = ports.datapath(name) {
                    ports.set_port(id, port.number, &port.name, port.details);
                }
            }
            PortChange::Gone(datapath, number) => {
                if let Some(id) = self.datapaths.get(&datapath).and_then(|name| ports.find(name)) {
                    ports.remove_port(id, number);
                }
            }
        }
        Ok(())
    }

    /// Carries a dump over: what it lacks is gone.
    pub(super) fn replace(&mut self, dump: Dump, ports: &mut Ports) {
        self.clear(ports);
        for datapath in dump.datapaths {
            remove_ports(&datapath.name, ports);
            self.datapaths.insert(datapath.ifindex, datapath.name);
        }
        for port in dump.ports {
            // Its datapath was dumped before it.
            let _ = self.port(PortChange::Here(port), ports);
        }
    }

    /// All datapaths are gone.
    pub(super) fn clear(&mut self, ports: &mut Ports) {
        for (_, name) in self.datapaths.drain() {
            remove_ports(&name, ports);
        }
    }
}

fn remove_ports(datapath: &[u8], ports: &mut Ports) {
    if let Some(id) = ports.find(datapath) {
        ports.remove_ports(id);
    }
}
