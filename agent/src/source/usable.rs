//! Which events can be joined with others, and what they carry; by the rules of upcall_cost.py.

use crate::enrich::FlowKey;
use crate::event::{EventBody, FlowKeyBytes, InPort, Packet, Unusable};
use crate::ports::{DatapathId, PortNo, Ports};

/// A `dp_upcall` of the port of this name. `packet` is its linear part, which `linear_len` gives
/// the length of where it is not all.
pub(super) fn dp_upcall<'a>(
    ports: &Ports,
    datapath: &[u8],
    port: &[u8],
    packet: Packet<'a>,
    linear_len: u32,
) -> Result<EventBody<'a>, Unusable> {
    if packet.bytes.is_empty() {
        return Err(Unusable::NoPacket);
    }
    let datapath = ports.find(datapath).ok_or(Unusable::UnknownPort)?;
    let port = ports.number(datapath, port).ok_or(Unusable::UnknownPort)?;
    Ok(EventBody::DpUpcall { datapath, port, packet, linear_len })
}

/// A `recv_upcall` of a datapath. It is added to the table when new: its ports may be known later.
pub(super) fn recv_upcall<'a>(
    ports: &mut Ports,
    datapath: &[u8],
    is_miss: bool,
    packet: Packet<'a>,
    key: FlowKeyBytes<'a>,
) -> Result<EventBody<'a>, Unusable> {
    if !is_miss {
        return Err(Unusable::NotAMiss);
    }
    if packet.len == 0 {
        return Err(Unusable::NoPacket);
    }
    if key.len == 0 {
        return Err(Unusable::NoKey);
    }
    let datapath = ports.datapath(datapath).ok_or(Unusable::UnknownPort)?;
    let in_port = match key_port(FlowKey::new(key)) {
        Some(in_port) => in_port,
        None => InPort::Port(local_port(ports, datapath).ok_or(Unusable::UnknownPort)?),
    };
    Ok(EventBody::RecvUpcall { datapath, in_port, packet, key })
}

/// An `op_flow_execute`.
pub(super) fn flow_execute(packet: Packet<'_>) -> Result<EventBody<'_>, Unusable> {
    if packet.bytes.is_empty() {
        return Err(Unusable::NoPacket);
    }
    Ok(EventBody::FlowExecute { packet })
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
