//! What is new of the ports that a capture knows.

use hashbrown::HashMap;

use crate::ports::{DatapathId, PortNo, Ports};

use super::{DatapathPorts, Port};

/// The ports that a recording has, so that it gets only what is new of them: a node may have
/// thousands, of which one changes.
#[derive(Clone, Debug, Default)]
pub struct PortChanges {
    recorded: HashMap<(DatapathId, PortNo), Port, foldhash::fast::FixedState>,
}

impl PortChanges {
    /// The ports that have come or changed since the last time, by number. Removed ones are not
    /// among them: a recording keeps them, as upcalls of theirs may still be on their way.
    pub fn take(&mut self, ports: &Ports) -> Vec<DatapathPorts> {
        let changed = |datapath: DatapathId| {
            let mut changed = Vec::new();
            for (number, name) in ports.present(datapath) {
                let details = ports.details(datapath, number).unwrap_or_default();
                let port = Port::new(number, name, details);
                let before = self.recorded.insert((datapath, number), port.clone());
                if before.as_ref() != Some(&port) {
                    changed.push(port);
                }
            }
            changed.sort_unstable_by_key(|port| port.number);
            let datapath = ports.datapath_name(datapath).as_bytes().to_vec();
            DatapathPorts { datapath, ports: changed }
        };
        ports.datapaths().map(changed).filter(|changed| !changed.ports.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{IfIndex, PortDetails, PortType};

    #[test]
    fn only_what_has_changed_is_taken() {
        let mut ports = Ports::default();
        let datapath = ports.datapath(b"ovs-system").unwrap();
        let details = PortDetails {
            port_type: Some(PortType::Netdev),
            ifindex: Some(IfIndex(7)),
            netns: None,
        };
        ports.set_port(datapath, PortNo(3), b"p3", details);
        ports.set_port(datapath, PortNo(0), b"ovs-system", PortDetails::default());
        let mut changes = PortChanges::default();
        let all = changes.take(&ports);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].datapath, b"ovs-system");
        let local = Port { name: b"ovs-system".to_vec(), ..Port::default() };
        assert_eq!(all[0].ports, [local, Port::new(PortNo(3), b"p3", details)]);
        assert_eq!(all[0].ports[1].details(), details);
        assert_eq!(changes.take(&ports), []);

        ports.remove_port(datapath, PortNo(3));
        assert_eq!(changes.take(&ports), []);
        ports.set_port(datapath, PortNo(3), b"p4", details);
        let [one] = &changes.take(&ports)[..] else { panic!("the name has changed") };
        assert_eq!(one.ports, [Port::new(PortNo(3), b"p4", details)]);
    }
}
