//! Flow keys against what Open vSwitch itself prints, cut short at every byte, and made at random.

#![cfg(target_endian = "little")]

mod made;

use proptest::prelude::*;

use self::made::netlink;
use super::{CtState, FlowKey, Kind};
use crate::enrich::test_bytes::hex;
use crate::event::FlowKeyBytes;
use crate::ports::{PortNo, Ports};

/// Keys and their texts, printed by Open vSwitch.
const OVS_KEYS: &str = include_str!("tests/ovs_keys.txt");

struct OvsKey {
    title: &'static str,
    bytes: Vec<u8>,
    text: &'static str,
}

fn ovs_keys() -> Vec<OvsKey> {
    let lines: Vec<_> =
        OVS_KEYS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    lines
        .chunks_exact(3)
        .map(|lines| OvsKey { title: lines[0], bytes: hex(lines[1]), text: lines[2] })
        .collect()
}

fn ovs_key(title: &str) -> Vec<u8> {
    ovs_keys().into_iter().find(|key| key.title == title).unwrap().bytes
}

fn whole(bytes: &[u8]) -> FlowKey<'_> {
    captured(bytes, bytes.len())
}

/// The key of which only the first bytes were captured.
fn captured(bytes: &[u8], len: usize) -> FlowKey<'_> {
    FlowKey::new(FlowKeyBytes { len: u32::try_from(bytes.len()).unwrap(), bytes: &bytes[..len] })
}

#[test]
fn keys_are_printed_as_by_ovs() {
    let keys = ovs_keys();
    assert_eq!(keys.len(), 32);
    for key in keys {
        assert_eq!(whole(&key.bytes).to_string(), key.text, "{}", key.title);
    }
}

#[test]
fn accessors_read_a_tracked_packet() {
    let bytes = ovs_key("recorded: ICMP, related to a tracked UDP datagram");
    let key = whole(&bytes);
    assert_eq!(key.in_port(), Some(PortNo(5)));
    assert_eq!(key.recirc_id(), Some(2));
    assert_eq!(key.ct_zone(), Some(0));
    assert_eq!(key.ct_state(), Some(CtState::from_bits(0x2c)));
    assert!(key.ct_state().unwrap().is_tracked());
    assert!(!key.has_tunnel());
    assert!(!key.is_truncated());
    let kinds: Vec<_> = key.attributes().map(|attribute| Kind::of(&attribute)).collect();
    assert_eq!(kinds[0], Kind::RecircId);
    assert_eq!(kinds.last(), Some(&Kind::Icmp));
}

#[test]
fn accessors_read_a_tunnelled_packet() {
    let bytes = ovs_key("recorded: UDP through a VXLAN tunnel");
    assert!(whole(&bytes).has_tunnel());
    assert_eq!(whole(&bytes).in_port(), Some(PortNo(6)));
    // Cut in the tunnel, which comes before the port: nobody knows which port it was.
    let cut = captured(&bytes, 64);
    assert!(cut.has_tunnel());
    assert!(cut.is_truncated());
    assert_eq!(cut.in_port(), None);
    assert_eq!(cut.recirc_id(), Some(0));
}

#[test]
fn ports_are_printed_by_name_if_it_is_known() {
    let mut ports = Ports::default();
    let datapath = ports.datapath(b"ovs-system").unwrap();
    ports.add_port(datapath, PortNo(2), b"p1");
    let text = |number: u8| {
        let bytes = [8, 0, 3, 0, number, 0, 0, 0];
        whole(&bytes).display(&ports, datapath).to_string()
    };
    assert_eq!(text(2), "in_port(p1)");
    assert_eq!(text(3), "in_port(3)");
}

#[test]
fn other_numbers_are_no_ports() {
    let mut ports = Ports::default();
    let datapath = ports.datapath(b"ovs-system").unwrap();
    ports.add_port(datapath, PortNo(2), b"p1");
    let skb_mark = [8, 0, 15, 0, 2, 0, 0, 0];
    assert_eq!(whole(&skb_mark).display(&ports, datapath).to_string(), "skb_mark(0x2)");
}

/// The text of the first bytes of a key, from a word on.
fn cut_text(title: &str, len: usize, from: &str) -> String {
    let text = captured(&ovs_key(title), len).to_string();
    text[text.find(from).unwrap()..].to_owned()
}

#[test]
fn cut_after_an_attribute() {
    let cut = |len| captured(&ovs_key("recorded: UDP"), len).to_string();
    assert_eq!(cut(16), "recirc_id(0),dp_hash(0),...");
    assert_eq!(cut(18), "recirc_id(0),dp_hash(0),...");
    assert_eq!(cut(20), "recirc_id(0),dp_hash(0),skb_priority(...),...");
    assert_eq!(cut(0), "...");
}

#[test]
fn cut_in_a_structure() {
    let cut = |len| cut_text("recorded: UDP", len, "ipv4(");
    assert_eq!(cut(122), "ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,...),...");
    assert_eq!(cut(119), "ipv4(src=10.0.0.1,...),...");
    assert_eq!(cut(112), "ipv4(...),...");
}

#[test]
fn cut_in_a_tunnel() {
    let cut = |len| cut_text("Geneve tunnel with options", len, "tunnel(");
    assert_eq!(
        cut(64),
        "tunnel(tun_id=0x64,src=10.99.0.2,dst=10.99.0.1,ttl=64,flags(key),...),..."
    );
    let options = |len| {
        let text = cut(len);
        let (_, options) = text.split_once("tp_dst=6081,").unwrap();
        options.strip_suffix(",flags(df|csum|key),...),...").unwrap().to_owned()
    };
    assert_eq!(options(104), "geneve({class=0x102,type=0x80,len=4,...})");
    assert_eq!(options(108), "geneve({class=0x102,type=0x80,len=4,0x10002}...)");
    assert_eq!(
        options(118),
        "geneve({class=0x102,type=0x80,len=4,0x10002}{class=0,type=0,len=0}\
         {class=0xffff,type=0x5,len=8,...})"
    );
}

#[test]
fn cut_in_vlan_tags() {
    assert_eq!(
        cut_text("VLAN in VLAN, the inner one without CFI bit", 156, "vlan("),
        "vlan(vid=100,pcp=0),encap(eth_type(0x8100),vlan(vid=200,pcp=0,cfi=0),\
         encap(eth_type(0x0800),ipv4(src=10.0.0.1,...),...),...),..."
    );
}

#[test]
fn cut_in_unknown_bytes() {
    let bytes = netlink(77, &[0xde, 0xad, 0xbe]);
    assert_eq!(captured(&bytes, 6).to_string(), "key77(de ad ...),...");
    assert_eq!(captured(&bytes, 4).to_string(), "key77(...),...");
}

#[test]
fn impossible_lengths_are_shown() {
    let text = |attributes: &[Vec<u8>]| whole(&attributes.concat()).to_string();
    assert_eq!(
        text(&[netlink(3, &[7, 0]), netlink(20, &[1, 0, 0, 0])]),
        "key3(bad key length 2, expected 4)(07 00),recirc_id(0x1)"
    );
    assert_eq!(
        text(&[netlink(16, &netlink(3, &[1, 2]))]),
        "tunnel(key3(bad key length 2, expected 1)(01 02),flags(0))"
    );
    assert_eq!(
        text(&[netlink(28, &netlink(1, &[1]))]),
        "nsh(key1(bad key length 1, expected 8)(01))"
    );
    assert_eq!(text(&[netlink(21, &[0, 0, 1])]), "mpls(bad key length 3)");
    let geneve = |options: &[u8]| text(&[netlink(16, &netlink(8, options))]);
    assert_eq!(
        geneve(&[0, 1, 2, 0, 9]),
        "tunnel(geneve({class=0x1,type=0x2,len=0}opt len 1 less than minimum 4),flags(0))"
    );
    assert_eq!(
        geneve(&[0, 1, 2, 1]),
        "tunnel(geneve(opt len 8 greater than remaining 4),flags(0))"
    );
}

#[test]
fn kernels_tunnel_mode_has_a_name() {
    let tunnel = [netlink(16, &[]), netlink(6, &[])].concat();
    let key = netlink(16, &tunnel);
    assert_eq!(whole(&key).to_string(), "tunnel(ipv4_info_bridge,flags(csum))");
}

#[test]
fn empty_key() {
    assert_eq!(whole(&[]).to_string(), "<empty>");
    assert!(!whole(&[]).is_truncated());
}

#[test]
fn bytes_beyond_the_key_do_not_belong_to_it() {
    let bytes = [8, 0, 3, 0, 2, 0, 0, 0, 8, 0, 15, 0];
    let key = FlowKey::new(FlowKeyBytes { len: 8, bytes: &bytes });
    assert_eq!(key.to_string(), "in_port(2)");
}

#[test]
fn nesting_does_not_exhaust_the_stack() {
    let mut bytes = Vec::new();
    for len in (1..=16_383_u16).rev() {
        bytes.extend((len * 4).to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
    }
    let text = whole(&bytes).to_string();
    assert!(text.starts_with("encap(encap("));
    assert_eq!(text.matches("encap(").count(), 33);
}

#[test]
fn every_cut_of_every_key_keeps_what_was_captured() {
    for OvsKey { title, bytes, text } in ovs_keys() {
        let key = whole(&bytes);
        for len in 0..bytes.len() {
            let cut = captured(&bytes, len);
            assert!(cut.is_truncated());
            let cut_text = cut.to_string();
            assert!(cut_text.ends_with("..."), "{title} at {len}: {cut_text}");
            let captured_whole = cut_text.strip_suffix(",...").unwrap_or_default();
            if !captured_whole.contains("...") && !captured_whole.contains("leftover") {
                assert!(text.starts_with(captured_whole), "{title} at {len}: {cut_text}");
            }
            assert!(cut.in_port().is_none() || cut.in_port() == key.in_port());
            assert!(cut.ct_state().is_none() || cut.ct_state() == key.ct_state());
            assert!(cut.attributes().count() <= key.attributes().count());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_printed_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        len in 0_u32..400,
    ) {
        let key = FlowKey::new(FlowKeyBytes { len, bytes: &bytes });
        prop_assert!(!key.to_string().is_empty());
        prop_assert_eq!(key.is_truncated(), (len as usize) > bytes.len());
        let _ = (key.in_port(), key.recirc_id(), key.ct_state(), key.ct_zone(), key.has_tunnel());
    }

    #[test]
    fn any_payloads_are_printed_without_panic(
        bytes in made::any_attributes(3),
        missing in 0_usize..40,
    ) {
        let key = captured(&bytes, bytes.len().saturating_sub(missing));
        let text = key.to_string();
        prop_assert_eq!(text.ends_with("..."), key.is_truncated(), "{}", text);
    }

    #[test]
    fn made_keys_are_printed_whole(attributes in prop::collection::vec(made::attribute(), 1..12)) {
        let bytes: Vec<u8> = attributes.iter().flat_map(|made| made.bytes.clone()).collect();
        let texts: Vec<&str> = attributes.iter().map(|made| made.text.as_str()).collect();
        prop_assert_eq!(whole(&bytes).to_string(), texts.join(","));
        prop_assert!(!whole(&bytes).is_truncated());
    }
}
