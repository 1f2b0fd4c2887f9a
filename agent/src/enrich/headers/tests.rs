//! Packets of the recordings in tests/fixtures, and made ones where those have none of a kind.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv6FragmentHeader, Ipv6RawExtHeader, PacketBuilder};
use proptest::prelude::*;

use super::Headers;
use crate::enrich::test_bytes::hex;
use crate::event::Packet;

const SOURCE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DESTINATION: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn parse(bytes: &[u8]) -> Headers {
    let len = u32::try_from(bytes.len()).unwrap();
    Headers::parse(&Packet { len, bytes })
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn tcp() {
    let headers =
        parse(&hex("020000000002 020000000001 0800 4500003c96364000400690830a0000010a000002
         e3bc1f90acd73e8400000000a002faf048dd0000020405b40402080a663c9b4a0000000001030307"));
    let expected = Headers {
        source_mac: Some(SOURCE),
        destination_mac: Some(DESTINATION),
        ethertype: Some(0x0800),
        source: ip("10.0.0.1"),
        destination: ip("10.0.0.2"),
        protocol: Some(6),
        source_port: Some(58300),
        destination_port: Some(8080),
        tcp_flags: Some(0x02),
        ..Headers::default()
    };
    assert_eq!(headers, expected);
    assert_eq!(headers.network_type(), Some("ipv4"));
    assert_eq!(headers.network_transport(), Some("tcp"));
    assert_eq!(headers.to_string(), "10.0.0.1:58300 > 10.0.0.2:8080 tcp SYN");
}

#[test]
fn tcp_flags_are_listed() {
    let mut packet = Vec::new();
    PacketBuilder::ethernet2(SOURCE, DESTINATION)
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1, 2, 3, 4)
        .psh()
        .ack(1)
        .write(&mut packet, &[])
        .unwrap();
    assert_eq!(parse(&packet).to_string(), "10.0.0.1:1 > 10.0.0.2:2 tcp PSH,ACK");
}

#[test]
fn udp() {
    let headers =
        parse(&hex("020000000003 8eaac52175c9 0800 45000067de974000401147ba0a0000320a000003
         aae80bb80053835e7472616365"));
    assert_eq!((headers.source_port, headers.destination_port), (Some(43752), Some(3000)));
    assert_eq!(headers.network_transport(), Some("udp"));
    assert_eq!(headers.to_string(), "10.0.0.50:43752 > 10.0.0.3:3000 udp");
}

#[test]
fn udp_over_ipv6() {
    let headers = parse(&hex("020000000004 020000000003 86dd 60067f3900d01140
         fd000000000000000000000000000003 fd000000000000000000000000000004
         a0e707d000d07cd4"));
    assert_eq!(headers.network_type(), Some("ipv6"));
    assert_eq!(headers.to_string(), "[fd00::3]:41191 > [fd00::4]:2000 udp");
}

#[test]
fn icmp() {
    let headers =
        parse(&hex("8eaac52175c9 020000000003 0800 45c00083972d00004001ce580a0000030a000032
         0303119600000000 45000067de974000"));
    assert_eq!(headers.icmp, Some((3, 3)));
    assert_eq!(headers.source_port, None);
    assert_eq!(headers.to_string(), "10.0.0.3 > 10.0.0.50 icmp destination unreachable");
}

#[test]
fn icmpv6_router_solicitation() {
    let headers = parse(&hex("333300000002 a2c2c83fb0f1 86dd 6000000000103aff
         fe80000000000000a0c2c8fffe3fb0f1 ff020000000000000000000000000002
         85004746000000000101a2c2c83fb0f1"));
    assert_eq!(headers.icmp, Some((133, 0)));
    assert_eq!(headers.network_transport(), Some("icmpv6"));
    assert_eq!(
        headers.to_string(),
        "fe80::a0c2:c8ff:fe3f:b0f1 > ff02::2 icmpv6 router solicitation"
    );
}

#[test]
fn arp_request_and_reply() {
    let request = parse(&hex("ffffffffffff 020000000001 0806 0001080006040001
         020000000001 0a000001 ffffffffffff 0a000003"));
    assert_eq!(request.arp_operation, Some(1));
    assert_eq!(request.network_type(), None);
    assert_eq!(request.network_transport(), None);
    assert_eq!(request.to_string(), "arp who-has 10.0.0.3 tell 10.0.0.1");

    let reply = parse(&hex("020000000001 020000000003 0806 0001080006040002
         020000000003 0a000003 020000000001 0a000001"));
    assert_eq!((reply.source, reply.destination), (ip("10.0.0.3"), ip("10.0.0.1")));
    assert_eq!(reply.to_string(), "arp reply 10.0.0.3 to 10.0.0.1");
}

#[test]
fn vlan() {
    let headers = parse(&hex(
        "020000000002 020000000001 81000064 0800 4500005475ca40004001b0da0a0100010a010002
         0800a975039e0001",
    ));
    assert_eq!(headers.vlans, [Some(100), None]);
    assert_eq!(headers.ethertype, Some(0x0800));
    assert_eq!(headers.to_string(), "vlan 100 10.1.0.1 > 10.1.0.2 icmp echo request");
}

#[test]
fn vlan_in_vlan_outer_first() {
    let headers = parse(&hex("ffffffffffff 020000000001 88a80064 810000c8 0806 0001080006040001
         020000000001 0a000001 000000000000 0a000002"));
    assert_eq!(headers.vlans, [Some(100), Some(200)]);
    assert_eq!(headers.to_string(), "vlan 100 vlan 200 arp who-has 10.0.0.2 tell 10.0.0.1");
}

#[test]
fn sctp() {
    let headers =
        parse(&hex("020000000002 020000000001 0800 4500002000000000408400000a0000010a000002
         138813890000000100000000"));
    assert_eq!(headers.protocol, Some(132));
    assert_eq!(headers.network_transport(), Some("sctp"));
    assert_eq!(headers.to_string(), "10.0.0.1:5000 > 10.0.0.2:5001 sctp");
}

#[test]
fn only_the_first_ipv4_fragment_has_ports() {
    let fragment = |flags_and_offset: &str| {
        parse(&hex(&format!(
            "020000000002 020000000001 0800 4500001c0000 {flags_and_offset} 40110000
             0a0000010a000002 138813890008ffff"
        )))
    };
    assert_eq!(fragment("2000").to_string(), "10.0.0.1:5000 > 10.0.0.2:5001 udp");
    assert_eq!(fragment("2001").to_string(), "10.0.0.1 > 10.0.0.2 udp");
    assert_eq!(fragment("00b9").source_port, None);
}

fn ipv6_with(first: IpNumber, extensions_and_payload: &[u8]) -> Vec<u8> {
    let mut packet = hex("020000000002 020000000001 86dd 60000000");
    packet.extend(u16::try_from(extensions_and_payload.len()).unwrap().to_be_bytes());
    packet.extend([first.0, 64]);
    packet.extend(hex("fd000000000000000000000000000001 fd000000000000000000000000000002"));
    packet.extend(extensions_and_payload);
    packet
}

fn ipv6_fragment(offset: u16, next: IpNumber, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6FragmentHeader::new(next, offset.try_into().unwrap(), true, 7);
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(payload);
    ipv6_with(IpNumber::IPV6_FRAGMENTATION_HEADER, &bytes)
}

#[test]
fn ipv6_extension_headers_are_stepped_over() {
    let hop_by_hop =
        Ipv6RawExtHeader::new_raw(IpNumber::IPV6_DESTINATION_OPTIONS, &[0; 6]).unwrap();
    let options = Ipv6RawExtHeader::new_raw(IpNumber::TCP, &[0; 14]).unwrap();
    let mut bytes = hop_by_hop.to_bytes().to_vec();
    bytes.extend(options.to_bytes());
    bytes.extend(hex("13881389 00000001 00000000 5010"));
    let packet = ipv6_with(IpNumber::IPV6_HEADER_HOP_BY_HOP, &bytes);
    assert_eq!(parse(&packet).to_string(), "[fd00::1]:5000 > [fd00::2]:5001 tcp ACK");

    // Of the second extension header, one byte is missing: what follows it is not known.
    let cut = parse(&packet[..14 + 40 + 8 + 15]);
    assert_eq!(cut.protocol, None);
    assert_eq!(cut.to_string(), "fd00::1 > fd00::2");
}

#[test]
fn only_the_first_ipv6_fragment_has_ports() {
    let ports = hex("138813890008ffff");
    let first = parse(&ipv6_fragment(0, IpNumber::UDP, &ports));
    assert_eq!(first.to_string(), "[fd00::1]:5000 > [fd00::2]:5001 udp");
    let later = parse(&ipv6_fragment(1, IpNumber::UDP, &ports));
    assert_eq!(later.to_string(), "fd00::1 > fd00::2 udp");
}

#[test]
fn payload_of_a_later_ipv6_fragment_is_no_extension_header() {
    let later = parse(&ipv6_fragment(1, IpNumber::IPV6_DESTINATION_OPTIONS, &[6, 0, 0, 0]));
    assert_eq!(later.protocol, Some(60));
    assert_eq!(later.source_port, None);
}

#[test]
fn other_frames_are_named_by_their_ethertype() {
    let lldp = parse(&hex("0180c200000e 020000000001 88cc 0207"));
    assert_eq!(lldp.to_string(), "02:00:00:00:00:01 > 01:80:c2:00:00:0e ethertype 0x88cc");
    let spanning_tree = parse(&hex("0180c2000000 020000000001 0026 424203"));
    assert_eq!(spanning_tree.ethertype, None);
    assert_eq!(spanning_tree.to_string(), "02:00:00:00:00:01 > 01:80:c2:00:00:00 802.2");
}

#[test]
fn cut_packets_give_what_is_there() {
    let whole = hex("020000000002 020000000001 0800 4500003c96364000400690830a0000010a000002
         e3bc1f90acd73e8400000000a002");
    let text = |captured: usize| parse(&whole[..captured]).to_string();
    assert_eq!(text(48), "10.0.0.1:58300 > 10.0.0.2:8080 tcp SYN");
    assert_eq!(text(47), "10.0.0.1:58300 > 10.0.0.2:8080 tcp");
    assert_eq!(text(37), "10.0.0.1 > 10.0.0.2 tcp");
    assert_eq!(text(33), "02:00:00:00:00:01 > 02:00:00:00:00:02 ethertype 0x0800");
    assert_eq!(text(13), "no headers");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let headers = parse(&bytes);
        prop_assert!(!headers.to_string().is_empty());
        prop_assert_eq!(headers.source_mac.is_some(), bytes.len() >= 14);
    }

    #[test]
    fn any_ipv6_chain_is_read_without_panic(
        first in prop::sample::select(vec![0_u8, 6, 17, 43, 44, 51, 58, 60, 132]),
        bytes in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 6, 43, 44, 51, 60]), 0..80),
    ) {
        let headers = parse(&ipv6_with(IpNumber(first), &bytes));
        prop_assert_eq!(headers.network_type(), Some("ipv6"));
        prop_assert!(headers.source_port.is_none() || headers.protocol.is_some());
        prop_assert!(!headers.to_string().is_empty());
    }

    #[test]
    fn udp_over_ipv4_is_read_back(
        source: [u8; 4], destination: [u8; 4], ports: (u16, u16), vlan in 0_u16..4096,
    ) {
        let mut packet = Vec::new();
        PacketBuilder::ethernet2(SOURCE, DESTINATION)
            .single_vlan(vlan.try_into().unwrap())
            .ipv4(source, destination, 64)
            .udp(ports.0, ports.1)
            .write(&mut packet, b"payload")
            .unwrap();
        let headers = parse(&packet);
        prop_assert_eq!(headers.vlans, [Some(vlan), None]);
        prop_assert_eq!(headers.source, Some(IpAddr::from(source)));
        prop_assert_eq!(headers.destination, Some(IpAddr::from(destination)));
        prop_assert_eq!((headers.source_port, headers.destination_port), (Some(ports.0), Some(ports.1)));
    }
}
