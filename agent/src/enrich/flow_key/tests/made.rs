//! Attributes made at random.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

/// An attribute and its text.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) bytes: Vec<u8>,
    pub(super) text: String,
}

/// A netlink attribute, padded to four bytes.
pub(super) fn netlink(number: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 4).unwrap();
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(number.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn made(number: u16, payload: &[u8], text: String) -> Made {
    Made { bytes: netlink(number, payload), text }
}

/// An attribute as the kernel writes it, with a text that is put together here from its parts.
pub(super) fn attribute() -> impl Strategy<Value = Made> {
    prop_oneof![
        any::<u32>().prop_map(|port| made(3, &port.to_ne_bytes(), format!("in_port({port})"))),
        (1..=u32::MAX).prop_map(|id| made(20, &id.to_ne_bytes(), format!("recirc_id({id:#x})"))),
        (1..=u16::MAX).prop_map(|zone| made(
            23,
            &zone.to_ne_bytes(),
            format!("ct_zone({zone:#x})")
        )),
        (1..=u128::MAX).prop_map(|label| made(
            25,
            &label.to_ne_bytes(),
            format!("ct_label({label:#x})")
        )),
        any::<u16>().prop_map(|number| made(
            6,
            &number.to_be_bytes(),
            format!("eth_type(0x{number:04x})")
        )),
        prop::sample::subsequence(
            vec!["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"],
            1..=8
        )
        .prop_map(ct_state),
        (any::<u16>(), any::<u16>()).prop_map(|(source, destination)| {
            let payload = [source.to_be_bytes(), destination.to_be_bytes()].concat();
            made(10, &payload, format!("udp(src={source},dst={destination})"))
        }),
        (any::<Ipv4Addr>(), any::<Ipv4Addr>(), any::<u8>(), 1..=u8::MAX, any::<u8>())
            .prop_map(ipv4),
        (any::<Ipv6Addr>(), any::<[u8; 6]>()).prop_map(neighbor),
        (any::<u8>(), any::<u8>()).prop_map(|(kind, code)| made(
            11,
            &[kind, code],
            format!("icmp(type={kind},code={code})")
        )),
        (1..=u64::MAX, any::<Ipv4Addr>(), any::<bool>()).prop_map(tunnel),
    ]
}

fn ct_state(names: Vec<&'static str>) -> Made {
    let bits: u32 = names
        .iter()
        .map(|name| match *name {
            "new" => 0x01,
            "est" => 0x02,
            "rel" => 0x04,
            "rpl" => 0x08,
            "inv" => 0x10,
            "trk" => 0x20,
            "snat" => 0x40,
            _ => 0x80,
        })
        .sum();
    made(22, &bits.to_ne_bytes(), format!("ct_state({})", names.join("|")))
}

fn ipv4((source, destination, proto, tos, ttl): (Ipv4Addr, Ipv4Addr, u8, u8, u8)) -> Made {
    let mut payload = [source.octets(), destination.octets()].concat();
    payload.extend([proto, tos, ttl, 1]);
    let text = format!(
        "ipv4(src={source},dst={destination},proto={proto},tos={tos:#x},ttl={ttl},frag=first)"
    );
    made(7, &payload, text)
}

fn neighbor((target, mac): (Ipv6Addr, [u8; 6])) -> Made {
    let mut payload = target.octets().to_vec();
    payload.extend(mac);
    payload.extend([0; 6]);
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    made(14, &payload, format!("nd(target={target},sll={mac},tll=00:00:00:00:00:00)"))
}

fn tunnel((id, source, csum): (u64, Ipv4Addr, bool)) -> Made {
    let mut payload = netlink(0, &id.to_be_bytes());
    payload.extend(netlink(1, &source.octets()));
    if csum {
        payload.extend(netlink(6, &[]));
    }
    let flags = if csum { "csum|key" } else { "key" };
    made(16, &payload, format!("tunnel(tun_id={id:#x},src={source},flags({flags}))"))
}

/// Attributes of all types with any payloads, nested ones too.
pub(super) fn any_attributes(depth: u32) -> BoxedStrategy<Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..44);
    let payload = if depth == 0 {
        bytes.boxed()
    } else {
        prop_oneof![bytes, any_attributes(depth - 1)].boxed()
    };
    prop::collection::vec((0_u16..36, payload), 1..6)
        .prop_map(|attributes| {
            attributes.iter().flat_map(|(number, payload)| netlink(*number, payload)).collect()
        })
        .boxed()
}
