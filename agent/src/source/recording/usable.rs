//! Which events can be joined with others, and what they carry; by the rules of upcall_cost.py.

use crate::event::{Event, EventBody, EventKind, InPort, Unusable};
use crate::ports::{DatapathId, PortNo, Ports};
use crate::source::Record;

use super::event_line::EventLine;

/// The record that a line's event makes, with the ports known so far.
pub(super) fn record<'a>(line: &'a EventLine, ports: &mut Ports) -> Record<'a> {
    let head = line.head();
    match body(line, ports) {
        Ok(body) => Record::Event(Event { head, body }),
        Err(reason) => Record::Unusable { kind: line.kind(), head, reason },
    }
}

fn body<'a>(line: &'a EventLine, ports: &mut Ports) -> Result<EventBody<'a>, Unusable> {
    match line.kind() {
        EventKind::DpUpcall => {
            let packet = line.linear_packet();
            if packet.bytes.is_empty() {
                return Err(Unusable::NoPacket);
            }
            let datapath = ports.find(line.datapath()).ok_or(Unusable::UnknownPort)?;
            let port = ports.number(datapath, line.port()).ok_or(Unusable::UnknownPort)?;
            Ok(EventBody::DpUpcall { datapath, port, packet, linear_len: line.linear_len() })
        }
        EventKind::RecvUpcall => {
            let (packet, key) = (line.packet(), line.flow_key());
            if !line.is_miss() {
                return Err(Unusable::NotAMiss);
            }
            if packet.len == 0 {
                return Err(Unusable::NoPacket);
            }
            if key.len == 0 {
                return Err(Unusable::NoKey);
            }
            let datapath = ports.datapath(line.datapath()).ok_or(Unusable::UnknownPort)?;
            let in_port = match key_port(key.bytes) {
                Some(in_port) => in_port,
                None => InPort::Port(local_port(ports, datapath).ok_or(Unusable::UnknownPort)?),
            };
            Ok(EventBody::RecvUpcall { datapath, in_port, packet, key })
        }
        EventKind::OpFlowPut => Ok(EventBody::FlowPut),
        EventKind::OpFlowExecute => {
            let packet = line.packet();
            if packet.bytes.is_empty() {
                return Err(Unusable::NoPacket);
            }
            Ok(EventBody::FlowExecute { packet })
        }
        EventKind::OvsPktExec => Ok(EventBody::PacketExecute),
    }
}

/// The port that has its datapath's own name (`OVSP_LOCAL`). `ovs_packet_cmd_execute` of the
/// kernel takes it for packets that come in by no port, whose keys lack `OVS_KEY_ATTR_IN_PORT`.
fn local_port(ports: &Ports, datapath: DatapathId) -> Option<PortNo> {
    ports.number(datapath, ports.datapath_name(datapath).as_bytes())
}

/// `enum ovs_key_attr` of the kernel's include/uapi/linux/openvswitch.h.
const OVS_KEY_ATTR_IN_PORT: u16 = 3;
const OVS_KEY_ATTR_TUNNEL: u16 = 16;

/// The bits of an attribute's type that are not flags (include/uapi/linux/netlink.h).
const NLA_TYPE_MASK: u16 = 0x3fff;

/// What a flow key, perhaps cut by the capture, says of the port. A tunnel attribute that is cut
/// counts too: the kernel writes it before the port (`__ovs_nla_put_key`), and both seldom fit.
fn key_port(mut key: &[u8]) -> Option<InPort> {
    let mut found = None;
    while let [len0, len1, type0, type1, payload @ ..] = key {
        let len = usize::from(u16::from_ne_bytes([*len0, *len1]));
        let Some(payload_len) = len.checked_sub(4) else { break };
        match (u16::from_ne_bytes([*type0, *type1]) & NLA_TYPE_MASK, payload.get(..payload_len)) {
            (OVS_KEY_ATTR_IN_PORT, Some(&[a, b, c, d])) => {
                found = Some(InPort::Port(PortNo(u32::from_ne_bytes([a, b, c, d]))));
            }
            (OVS_KEY_ATTR_TUNNEL, _) if found.is_none() => found = Some(InPort::Any),
            _ => {}
        }
        // Attributes are aligned to 4 bytes.
        key = key.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute that claims `len` bytes of payload.
    fn attribute(kind: u16, len: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (len + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn port(number: u32) -> Vec<u8> {
        attribute(OVS_KEY_ATTR_IN_PORT, 4, &number.to_ne_bytes())
    }

    #[test]
    fn the_port_wins_over_the_tunnel_wherever_it_stands() {
        let tunnel = attribute(OVS_KEY_ATTR_TUNNEL, 5, b"12345");
        let seven = Some(InPort::Port(PortNo(7)));
        assert_eq!(key_port(&[port(7), tunnel.clone()].concat()), seven);
        assert_eq!(key_port(&[tunnel.clone(), port(7)].concat()), seven);
        assert_eq!(key_port(&tunnel), Some(InPort::Any));
    }

    #[test]
    fn a_cut_tunnel_means_any_port_and_a_cut_port_none() {
        let recirc = attribute(20, 4, &[0; 4]);
        let tunnel = attribute(OVS_KEY_ATTR_TUNNEL, 60, &[0; 8]);
        assert_eq!(key_port(&[recirc.clone(), tunnel].concat()), Some(InPort::Any));
        let key = [recirc.clone(), port(7)].concat();
        for len in 0..key.len() {
            assert_eq!(key_port(&key[..len]), None, "{len}");
        }
    }

    #[test]
    fn flags_in_the_type_are_no_part_of_it() {
        let tunnel = attribute(OVS_KEY_ATTR_TUNNEL | 0x8000, 4, &[0; 4]);
        assert_eq!(key_port(&tunnel), Some(InPort::Any));
    }

    #[test]
    fn attributes_that_cannot_be_end_the_key() {
        for len in 0..4_u16 {
            let broken = [&len.to_ne_bytes()[..], &port(7)].concat();
            assert_eq!(key_port(&broken), None, "{len}");
        }
        let wrong_size = attribute(OVS_KEY_ATTR_IN_PORT, 8, &[0; 8]);
        assert_eq!(key_port(&wrong_size), None);
    }
}
