mod arbitrary;
mod faults;
mod kernel;
#[cfg(target_endian = "little")]
mod transcripts;

use crate::ports::{DatapathId, PortNo, Ports};

/// The datapaths that have ports, with these, as text.
fn listing(ports: &Ports) -> Vec<String> {
    let mut lines = Vec::new();
    for datapath in ports.datapaths() {
        let mut present: Vec<_> = ports.present(datapath).map(|(number, _)| number).collect();
        present.sort();
        let texts: Vec<_> =
            present.into_iter().map(|number| port(ports, datapath, number)).collect();
        if !texts.is_empty() {
            lines.push(format!("{}: {}", ports.datapath_name(datapath), texts.join(", ")));
        }
    }
    lines.sort();
    lines
}

/// Number, name, type, interface index, and namespace if it is another one.
fn port(ports: &Ports, datapath: DatapathId, number: PortNo) -> String {
    let details = ports.details(datapath, number).unwrap();
    let mut text = format!("{} {}", number.0, ports.name(datapath, number).unwrap());
    if let Some(port_type) = details.port_type {
        text += &format!(" {port_type}");
    }
    if let Some(ifindex) = details.ifindex {
        text += &format!(" {}", ifindex.0);
    }
    if let Some(netns) = details.netns {
        text += &format!(" in {}", netns.0);
    }
    text
}
