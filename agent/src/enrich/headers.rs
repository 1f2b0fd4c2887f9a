//! Packet headers: etherparse down to the network layer, and the first bytes of the transport.
//!
//! A probe captures only so much of a packet, so every layer is taken as far as it is there.
//! Transport headers are read from their first bytes rather than by etherparse, which wants them
//! whole, stops at the first fragment (that one has ports) and knows no SCTP.

mod names;
mod summary;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use etherparse::{
    ArpPacketSlice, EtherType, Ipv6ExtensionSlice, LaxIpPayloadSlice, LaxIpv4Slice, LaxIpv6Slice,
    LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice, ether_type,
};
pub use etherparse::{IpNumber, ip_number};

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
    /// EtherType of what follows the VLAN tags; none for an IEEE 802.2 frame, which has a length
    /// in its place.
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

/// What follows the network layer, as far as it was captured: a transport header and its payload,
/// without the padding of a short frame. Fragments but the first of their packet have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport<'a> {
    /// Whose header it begins with.
    pub protocol: IpNumber,
    /// The header, and what follows it.
    pub bytes: &'a [u8],
}

/// Smaller values in the place of the EtherType are lengths (`ETH_P_802_3_MIN` of the kernel's
/// include/uapi/linux/if_ether.h).
const MIN_ETHERTYPE: u16 = 0x0600;

impl Headers {
    /// Reads the headers of a packet that begins with its Ethernet header.
    #[must_use]
    pub fn parse(packet: &Packet<'_>) -> Self {
        Self::split(packet.bytes).0
    }

    /// As [`Headers::parse`], of the captured bytes of a packet, and hands out what follows the
    /// network layer.
    #[must_use]
    pub fn split(ethernet: &[u8]) -> (Self, Option<Transport<'_>>) {
        let mut headers = Self::default();
        let Ok(sliced) = LaxSlicedPacket::from_ethernet(ethernet) else {
            return (headers, None);
        };
        headers.read_link(&sliced);
        let transport = match &sliced.net {
            Some(LaxNetSlice::Arp(arp)) => {
                headers.read_arp(arp);
                None
            }
            Some(LaxNetSlice::Ipv4(ip)) => headers.read_ipv4(ip),
            Some(LaxNetSlice::Ipv6(ip)) => headers.read_ipv6(ip),
            None => None,
        };
        (headers, transport)
    }

    fn read_link(&mut self, sliced: &LaxSlicedPacket<'_>) {
        if let Some(LinkSlice::Ethernet2(ethernet)) = &sliced.link {
            self.source_mac = Some(ethernet.source());
            self.destination_mac = Some(ethernet.destination());
        }
        let tags = sliced.link_exts.iter().filter_map(|ext| match ext {
            LaxLinkExtSlice::Vlan(tag) => Some(tag.vlan_identifier().value()),
            LaxLinkExtSlice::Macsec(_) => None,
        });
        for (vlan, id) in self.vlans.iter_mut().zip(tags) {
            *vlan = Some(id);
        }
        self.ethertype = sliced
            .ether_payload()
            .map(|payload| payload.ether_type.0)
            .filter(|&ether_type| ether_type >= MIN_ETHERTYPE);
    }

    fn read_arp(&mut self, arp: &ArpPacketSlice<'_>) {
        self.arp_operation = Some(arp.operation().0);
        if arp.proto_addr_type() == EtherType::IPV4 {
            self.source = ipv4_address(arp.sender_protocol_addr());
            self.destination = ipv4_address(arp.target_protocol_addr());
        }
    }

    fn read_ipv4<'a>(&mut self, ip: &LaxIpv4Slice<'a>) -> Option<Transport<'a>> {
        self.source = Some(ip.header().source_addr().into());
        self.destination = Some(ip.header().destination_addr().into());
        let payload = ip.payload();
        self.protocol = Some(payload.ip_number.0);
        let is_first = ip.header().fragments_offset().value() == 0;
        is_first.then(|| self.read_transport(payload))
    }

    fn read_ipv6<'a>(&mut self, ip: &LaxIpv6Slice<'a>) -> Option<Transport<'a>> {
        self.source = Some(ip.header().source_addr().into());
        self.destination = Some(ip.header().destination_addr().into());
        let payload = ip.payload();
        if let Some(protocol) = later_fragment(ip) {
            self.protocol = Some(protocol.0);
            return None;
        }
        // The number of an extension header here means that it was cut off, and with it the
        // number of the transport.
        if is_ipv6_extension(payload.ip_number) {
            return None;
        }
        self.protocol = Some(payload.ip_number.0);
        Some(self.read_transport(payload))
    }

    fn read_transport<'a>(&mut self, payload: &LaxIpPayloadSlice<'a>) -> Transport<'a> {
        let bytes = payload.payload;
        match payload.ip_number {
            ip_number::TCP => {
                self.read_ports(bytes);
                self.tcp_flags = bytes.get(13).copied();
            }
            ip_number::UDP | ip_number::SCTP => self.read_ports(bytes),
            ip_number::ICMP | ip_number::IPV6_ICMP => {
                self.icmp = bytes.first_chunk().map(|&[kind, code]| (kind, code));
            }
            _ => {}
        }
        Transport { protocol: payload.ip_number, bytes }
    }

    /// TCP, UDP and SCTP all begin with the two ports.
    fn read_ports(&mut self, bytes: &[u8]) {
        if let Some(&[s0, s1, d0, d1]) = bytes.first_chunk() {
            self.source_port = Some(u16::from_be_bytes([s0, s1]));
            self.destination_port = Some(u16::from_be_bytes([d0, d1]));
        }
    }

    /// `network.type` of the OpenTelemetry semantic conventions: `ipv4` or `ipv6`.
    #[must_use]
    pub fn network_type(&self) -> Option<&'static str> {
        match EtherType(self.ethertype?) {
            ether_type::IPV4 => Some("ipv4"),
            ether_type::IPV6 => Some("ipv6"),
            _ => None,
        }
    }

    /// `network.transport` of the OpenTelemetry semantic conventions: `tcp` and `udp` are
    /// well-known there, the others are the protocol's usual name in lower case.
    #[must_use]
    pub fn network_transport(&self) -> Option<&'static str> {
        names::protocol(self.protocol?)
    }

    /// The number of an IP protocol, by the name that [`Headers::network_transport`] has for it, or
    /// by the number itself.
    #[must_use]
    pub fn protocol_number(protocol: &str) -> Option<u8> {
        let named = || (0..=u8::MAX).find(|&number| names::protocol(number) == Some(protocol));
        protocol.parse().ok().or_else(named)
    }
}

/// The protocol of a fragment that is not the first one of its packet: what follows its fragment
/// header is payload.
fn later_fragment(ip: &LaxIpv6Slice<'_>) -> Option<IpNumber> {
    // Only a payload that is marked as fragmented has this header for certain. Without it the
    // iterator would go on to an extension header that was cut off, which it takes to be whole.
    if !ip.is_payload_fragmented() {
        return None;
    }
    let header = ip.extensions().clone().into_iter().find_map(|extension| match extension {
        Ipv6ExtensionSlice::Fragment(header) if header.is_fragmenting_payload() => Some(header),
        _ => None,
    })?;
    (header.fragment_offset().value() > 0).then(|| header.next_header())
}

fn ipv4_address(bytes: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 4] = bytes.try_into().ok()?;
    Some(Ipv4Addr::from(octets).into())
}

/// The extension headers that etherparse steps over.
const fn is_ipv6_extension(number: IpNumber) -> bool {
    matches!(
        number,
        ip_number::IPV6_HEADER_HOP_BY_HOP
            | ip_number::IPV6_ROUTE_HEADER
            | ip_number::IPV6_FRAGMENTATION_HEADER
            | ip_number::IPV6_DESTINATION_OPTIONS
            | ip_number::AUTHENTICATION_HEADER
    )
}
