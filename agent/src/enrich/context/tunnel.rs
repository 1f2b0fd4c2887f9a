//! VXLAN (RFC 7348) and Geneve (RFC 8926) on the ports that are theirs.

const UDP_HEADER: usize = 8;

const VXLAN_PORT: u16 = 4789;
const VXLAN_HEADER: usize = 8;
/// The header names a network, as it must.
const VXLAN_HAS_VNI: u8 = 0x08;

const GENEVE_PORT: u16 = 6081;
const GENEVE_HEADER: usize = 8;
/// The packet is about the tunnel itself, and not for what is behind it.
const GENEVE_IS_CONTROL: u8 = 0x80;
/// "Trans Ether Bridging" of the protocol types: an Ethernet frame.
const ETHERNET: [u8; 2] = [0x65, 0x58];

/// The Ethernet frame in a UDP datagram, its header included, that goes to such a port.
pub(super) fn inner_ethernet(udp: &[u8]) -> Option<&[u8]> {
    let port = u16::from_be_bytes([*udp.get(2)?, *udp.get(3)?]);
    match port {
        VXLAN_PORT => vxlan(udp.get(UDP_HEADER..)?),
        GENEVE_PORT => geneve(udp.get(UDP_HEADER..)?),
        _ => None,
    }
}

fn vxlan(datagram: &[u8]) -> Option<&[u8]> {
    let (header, frame) = datagram.split_at_checked(VXLAN_HEADER)?;
    (header[0] & VXLAN_HAS_VNI != 0).then_some(frame)
}

fn geneve(datagram: &[u8]) -> Option<&[u8]> {
    let (header, rest) = datagram.split_at_checked(GENEVE_HEADER)?;
    let version = header[0] >> 6;
    let options = usize::from(header[0] & 0x3f) * 4;
    let is_data = version == 0 && header[1] & GENEVE_IS_CONTROL == 0;
    (is_data && header[2..4] == ETHERNET).then(|| rest.get(options..))?
}
