//! What identifies a packet on its way through kernel and vswitchd.

use upspan::event::Packet;

use crate::mark::Mark;

/// What stays the same of a packet, however much of it was captured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ident {
    /// It has a mark.
    Marked(Mark),
    /// Of TCP, the payload may not have been captured.
    Tcp(TcpIdent),
    /// All of it from the EtherType on, without VLAN tags and the checksum of UDP.
    Whole(Vec<u8>),
}

/// What identifies a TCP segment or super-packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TcpIdent {
    /// Addresses and ports.
    pub(crate) flow: Vec<u8>,
    pub(crate) seq: u32,
    /// The rest of the header but for flags, which differ between segments, and the checksum.
    pub(crate) header: Vec<u8>,
    pub(crate) flags: u8,
    /// Identification of IPv4; IPv6 has none.
    pub(crate) ip_id: Option<u16>,
    /// Bytes of payload.
    pub(crate) payload: u32,
}

impl Ident {
    /// Of a packet that begins with an Ethernet header.
    pub(crate) fn of(packet: Packet<'_>) -> Self {
        let mut rest = packet.bytes.get(12..).unwrap_or_default();
        let mut len = packet.len.saturating_sub(12);
        while let Some(after) = without_tag(rest) {
            rest = after;
            len = len.saturating_sub(4);
        }
        if let Some(tcp) = tcp(rest, len) {
            return Self::Tcp(tcp);
        }
        Mark::find(packet.bytes).map_or_else(|| Self::Whole(without_checksum(rest)), Self::Marked)
    }

    /// Its mark.
    pub(crate) fn mark(&self) -> Option<Mark> {
        match self {
            Self::Marked(mark) => Some(*mark),
            Self::Tcp(_) | Self::Whole(_) => None,
        }
    }
}

impl std::fmt::Display for Ident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Marked(mark) => mark.fmt(f),
            Self::Tcp(tcp) => write!(f, "TCP {}+{} flags {:02x}", tcp.seq, tcp.payload, tcp.flags),
            Self::Whole(bytes) => {
                write!(f, "{} bytes {:02x?}", bytes.len(), &bytes[..bytes.len().min(44)])
            }
        }
    }
}

fn without_tag(from_type: &[u8]) -> Option<&[u8]> {
    let (ether_type, _) = from_type.split_first_chunk()?;
    matches!(ether_type, [0x81, 0] | [0x88, 0xa8]).then(|| from_type.get(4..)).flatten()
}

/// The kernel computes the checksum of UDP late.
fn without_checksum(from_type: &[u8]) -> Vec<u8> {
    const UDP: u8 = 17;
    let udp = match from_type {
        [0x08, 0, ip @ ..] if ip.get(9) == Some(&UDP) => Some(2 + usize::from(ip[0] & 15) * 4),
        [0x86, 0xdd, ip @ ..] if ip.get(6) == Some(&UDP) => Some(2 + 40),
        _ => None,
    };
    let mut bytes = from_type.to_vec();
    if let Some(checksum) = udp.and_then(|at| bytes.get_mut(at + 6..at + 8)) {
        checksum.fill(0);
    }
    bytes
}

/// From the EtherType on; `len` bytes in all, of which some may not have been captured.
fn tcp(from_type: &[u8], len: u32) -> Option<TcpIdent> {
    const TCP: u8 = 6;
    let (ether_type, ip) = from_type.split_first_chunk()?;
    let (addresses, ip_id, header_len) = match ether_type {
        [0x08, 0] if *ip.get(9)? == TCP => {
            let id = u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?]);
            (ip.get(12..20)?, Some(id), usize::from(ip[0] & 15) * 4)
        }
        [0x86, 0xdd] if *ip.get(6)? == TCP => (ip.get(8..40)?, None, 40),
        _ => return None,
    };
    let tcp = ip.get(header_len..)?;
    let data_offset = usize::from(*tcp.get(12)? >> 4) * 4;
    let header = tcp.get(..data_offset)?;
    let headers = u32::try_from(2 + header_len + data_offset).ok()?;
    Some(TcpIdent {
        flow: [addresses, header.get(..4)?].concat(),
        seq: u32::from_be_bytes(*header.get(4..)?.first_chunk()?),
        // Acknowledgement, window, urgent pointer and options.
        header: [header.get(8..12)?, header.get(14..16)?, header.get(18..)?].concat(),
        flags: *header.get(13)?,
        ip_id,
        payload: len.saturating_sub(headers),
    })
}
