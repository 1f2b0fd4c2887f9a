//! Which events can be joined with others, and what they carry; by the rules of upcall_cost.py.

use crate::enrich::FlowKey;
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
            let in_port = match key_port(FlowKey::new(key)) {
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

/// What a flow key, perhaps cut by the capture, says of the port. A tunnel attribute that is cut
/// counts too: the kernel writes it before the port (`__ovs_nla_put_key`), and both seldom fit.
fn key_port(key: FlowKey<'_>) -> Option<InPort> {
    key.in_port().map(InPort::Port).or_else(|| key.has_tunnel().then_some(InPort::Any))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FlowKeyBytes;

    /// An attribute that claims `len` bytes of payload.
    fn attribute(kind: u16, len: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (len + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// `enum ovs_key_attr` of the kernel's include/uapi/linux/openvswitch.h.
    const OVS_KEY_ATTR_IN_PORT: u16 = 3;
    const OVS_KEY_ATTR_TUNNEL: u16 = 16;

    /// Of a key that may have been cut after `bytes`.
    fn key_port(bytes: &[u8]) -> Option<InPort> {
        super::key_port(FlowKey::new(FlowKeyBytes { len: 1000, bytes }))
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
}
