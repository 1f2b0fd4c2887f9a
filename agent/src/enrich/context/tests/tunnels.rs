//! Packets in VLANs and tunnels.

use etherparse::{PacketBuilder, ip_number};

use super::made::{TRACE, traceparent};
use super::*;

const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 3], [2, 0, 0, 0, 0, 4]);

fn udp(port: u16, content: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ethernet2(MACS.0, MACS.1)
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .udp(49_152, port)
        .write(&mut packet, content)
        .unwrap();
    packet
}

pub(super) fn vxlan(frame: &[u8]) -> Vec<u8> {
    udp(4789, &[&[8, 0, 0, 0, 0, 0, 7, 0], frame].concat())
}

pub(super) fn geneve(options: &[u8], frame: &[u8]) -> Vec<u8> {
    let words = u8::try_from(options.len() / 4).unwrap();
    udp(6081, &[&[words, 0, 0x65, 0x58, 0, 0, 7, 0], options, frame].concat())
}

fn http() -> Vec<u8> {
    ethernet(&tcp(&[], &request()))
}

fn is_found(packet: &[u8]) -> bool {
    find(packet).is_some_and(|context| context.span_context().trace_id() == TRACE.into())
}

#[test]
fn over_vlan_tags() {
    let (macs, rest) = (&http()[..12], &http()[12..]);
    let tag = |ethertype: [u8; 2]| [ethertype, [0, 100]].concat();
    let (outer, inner) = (tag([0x88, 0xa8]), tag([0x81, 0]));
    assert!(is_found(&[macs, &inner, rest].concat()));
    assert!(is_found(&[macs, &outer, &inner, rest].concat()));
}

#[test]
fn over_ipv6() {
    let mut packet = Vec::new();
    PacketBuilder::ethernet2(MACS.0, MACS.1)
        .ipv6([1; 16], [2; 16], 64)
        .write(&mut packet, ip_number::TCP, &tcp(&[], &request()))
        .unwrap();
    assert!(is_found(&packet));
}

#[test]
fn in_vxlan() {
    assert!(is_found(&vxlan(&http())));
    assert!(!is_found(&udp(4789, &[&[0; 8], &http()[..]].concat())), "no network");
    assert!(!is_found(&udp(4790, &[&[8, 0, 0, 0, 0, 0, 7, 0], &http()[..]].concat())));
}

#[test]
fn in_geneve() {
    for options in [&[][..], &[1; 4], &[1; 252]] {
        assert!(is_found(&geneve(options, &http())), "{} bytes of options", options.len());
    }
    let header = |header: [u8; 8]| is_found(&udp(6081, &[&header[..], &http()].concat()));
    assert!(header([0, 0x40, 0x65, 0x58, 0, 0, 7, 0]), "critical options");
    assert!(!header([0x40, 0, 0x65, 0x58, 0, 0, 7, 0]), "another version");
    assert!(!header([0, 0x80, 0x65, 0x58, 0, 0, 7, 0]), "about the tunnel itself");
    assert!(!header([0, 0, 0x08, 0, 0, 0, 7, 0]), "no Ethernet");
    assert!(!header([63, 0, 0x65, 0x58, 0, 0, 7, 0]), "options without end");
}

#[test]
fn not_in_a_tunnel_in_a_tunnel() {
    assert!(!is_found(&vxlan(&vxlan(&http()))));
    assert!(!is_found(&geneve(&[], &vxlan(&http()))));
}

#[test]
fn udp_text_is_no_http() {
    let text = [&traceparent(TRACE).into_bytes()[..], &request()].concat();
    assert_eq!(find(&udp(8080, &text)), None);
    assert_eq!(find(&vxlan(&udp(8080, &text))), None);
}
