//! What the payloads of a flow key's attributes are made of: the structures of the kernel's
//! include/uapi/linux/openvswitch.h, with their fields in the order in which OVS prints them
//! (`format_odp_key_attr__()` of lib/odp-util.c).

use super::field::{Field, Form, field, value};
use super::kind::Kind;

/// What the payload of an attribute is made of.
pub(super) enum Layout {
    /// A value, or a structure of this many bytes with these fields.
    Struct(usize, &'static [Field]),
    /// MPLS label stack entries of four bytes.
    Mpls,
    /// A flow key of its own.
    Encap,
    /// `OVS_TUNNEL_KEY_ATTR_*`.
    Tunnel,
    /// `OVS_NSH_KEY_ATTR_*`.
    Nsh,
    /// Bytes that say nothing to user space.
    Opaque,
}

impl Layout {
    /// Lengths as in `ovs_flow_key_attr_lens` of OVS's lib/odp-util.c; where that has none, OVS
    /// takes 0.
    pub(super) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Priority | Kind::SkbMark | Kind::DpHash | Kind::RecircId | Kind::CtMark => {
                Self::Struct(4, HOST_U32)
            }
            Kind::InPort => Self::Struct(4, PORT_NUMBER),
            Kind::Ethernet => Self::Struct(12, ETHERNET),
            Kind::Vlan => Self::Struct(2, VLAN),
            Kind::Ethertype => Self::Struct(2, ETHERTYPE),
            Kind::Ipv4 => Self::Struct(12, IPV4),
            Kind::Ipv6 => Self::Struct(40, IPV6),
            Kind::Tcp | Kind::Udp | Kind::Sctp => Self::Struct(4, PORTS),
            Kind::Icmp | Kind::Icmpv6 => Self::Struct(2, ICMP),
            Kind::Arp => Self::Struct(24, ARP),
            Kind::Nd => Self::Struct(28, ND),
            Kind::TcpFlags => Self::Struct(2, TCP_FLAGS),
            Kind::CtState => Self::Struct(4, CT_STATE),
            Kind::CtZone => Self::Struct(2, HOST_U16),
            Kind::CtLabels => Self::Struct(16, HOST_U128),
            Kind::CtOrigTupleIpv4 => Self::Struct(16, CT_TUPLE4),
            Kind::CtOrigTupleIpv6 => Self::Struct(40, CT_TUPLE6),
            Kind::PacketType => Self::Struct(4, PACKET_TYPE),
            Kind::NdExtensions => Self::Struct(8, ND_EXTENSIONS),
            Kind::Unspec | Kind::TunnelInfo => Self::Struct(0, &[]),
            Kind::Mpls => Self::Mpls,
            Kind::Encap => Self::Encap,
            Kind::Tunnel => Self::Tunnel,
            Kind::Nsh => Self::Nsh,
            Kind::Ipv6Exthdrs | Kind::Unknown(_) => Self::Opaque,
        }
    }
}

const HOST_U16: &[Field] = &[value(Form::HostHex16)];
const HOST_U32: &[Field] = &[value(Form::HostHex32)];
const HOST_U128: &[Field] = &[value(Form::HostHex128)];
const PORT_NUMBER: &[Field] = &[value(Form::HostDec32)];
const ETHERTYPE: &[Field] = &[value(Form::Ethertype)];
const VLAN: &[Field] = &[value(Form::VlanTci)];
const TCP_FLAGS: &[Field] = &[value(Form::TcpFlags)];
const CT_STATE: &[Field] = &[value(Form::CtState)];

/// `struct ovs_key_ethernet`.
const ETHERNET: &[Field] = &[field("src", 0, Form::Mac), field("dst", 6, Form::Mac)];

/// `struct ovs_key_ipv4`.
const IPV4: &[Field] = &[
    field("src", 0, Form::Ipv4),
    field("dst", 4, Form::Ipv4),
    field("proto", 8, Form::Dec8),
    field("tos", 9, Form::Hex8),
    field("ttl", 10, Form::Dec8),
    field("frag", 11, Form::Fragment),
];

/// `struct ovs_key_ipv6`.
const IPV6: &[Field] = &[
    field("src", 0, Form::Ipv6),
    field("dst", 16, Form::Ipv6),
    field("label", 32, Form::Hex32),
    field("proto", 36, Form::Dec8),
    field("tclass", 37, Form::Hex8),
    field("hlimit", 38, Form::Dec8),
    field("frag", 39, Form::Fragment),
];

/// `struct ovs_key_tcp`, `ovs_key_udp` and `ovs_key_sctp`.
const PORTS: &[Field] = &[field("src", 0, Form::Dec16), field("dst", 2, Form::Dec16)];

/// `struct ovs_key_icmp` and `ovs_key_icmpv6`.
const ICMP: &[Field] = &[field("type", 0, Form::Dec8), field("code", 1, Form::Dec8)];

/// `struct ovs_key_arp`, with two bytes of padding.
const ARP: &[Field] = &[
    field("sip", 0, Form::Ipv4),
    field("tip", 4, Form::Ipv4),
    field("op", 8, Form::Dec16),
    field("sha", 10, Form::Mac),
    field("tha", 16, Form::Mac),
];

/// `struct ovs_key_nd`.
const ND: &[Field] =
    &[field("target", 0, Form::Ipv6), field("sll", 16, Form::Mac), field("tll", 22, Form::Mac)];

/// `struct ovs_key_nd_extensions` of OVS's include/linux/openvswitch.h, with three bytes of padding.
const ND_EXTENSIONS: &[Field] =
    &[field("nd_reserved", 0, Form::FullHex32), field("nd_options_type", 4, Form::Dec8)];

/// Name space and type of `OVS_KEY_ATTR_PACKET_TYPE`.
const PACKET_TYPE: &[Field] = &[field("ns", 0, Form::Dec16), field("id", 2, Form::Hex16)];

/// `struct ovs_key_ct_tuple_ipv4`, with three bytes of padding.
const CT_TUPLE4: &[Field] = &[
    field("src", 0, Form::Ipv4),
    field("dst", 4, Form::Ipv4),
    field("proto", 12, Form::Dec8),
    field("tp_src", 8, Form::Dec16),
    field("tp_dst", 10, Form::Dec16),
];

/// `struct ovs_key_ct_tuple_ipv6`, with three bytes of padding.
const CT_TUPLE6: &[Field] = &[
    field("src", 0, Form::Ipv6),
    field("dst", 16, Form::Ipv6),
    field("proto", 36, Form::Dec8),
    field("src_port", 32, Form::Dec16),
    field("dst_port", 34, Form::Dec16),
];
