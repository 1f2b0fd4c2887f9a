//! The types of attributes in a flow key.

use super::netlink::Attribute;

/// `enum ovs_key_attr` of the kernel's include/uapi/linux/openvswitch.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Not used.
    Unspec,
    /// What a VLAN tag or another header encloses: nested attributes.
    Encap,
    /// `skb->priority`.
    Priority,
    /// Port that the packet came in by.
    InPort,
    /// Ethernet addresses.
    Ethernet,
    /// VLAN tag control information.
    Vlan,
    /// EtherType.
    Ethertype,
    /// IPv4 header.
    Ipv4,
    /// IPv6 header.
    Ipv6,
    /// TCP ports.
    Tcp,
    /// UDP ports.
    Udp,
    /// ICMP type and code.
    Icmp,
    /// ICMPv6 type and code.
    Icmpv6,
    /// ARP message.
    Arp,
    /// IPv6 neighbor discovery message.
    Nd,
    /// `skb->mark`.
    SkbMark,
    /// Tunnel metadata: nested attributes.
    Tunnel,
    /// SCTP ports.
    Sctp,
    /// TCP flags.
    TcpFlags,
    /// Hash that the datapath computed, 0 for none.
    DpHash,
    /// Recirculation id.
    RecircId,
    /// MPLS label stack.
    Mpls,
    /// Connection tracking state.
    CtState,
    /// Connection tracking zone.
    CtZone,
    /// Connection tracking mark.
    CtMark,
    /// Connection tracking label.
    CtLabels,
    /// Original direction of the connection, over IPv4.
    CtOrigTupleIpv4,
    /// Original direction of the connection, over IPv6.
    CtOrigTupleIpv6,
    /// Network service header: nested attributes.
    Nsh,
    /// Packet type, where it is not Ethernet (userspace datapath only).
    PacketType,
    /// IPv6 neighbor discovery extensions (userspace datapath only).
    NdExtensions,
    /// Tunnel metadata in the kernel's own form; never leaves the kernel.
    TunnelInfo,
    /// Which IPv6 extension headers there are. OVS does not know it and prints `key32`.
    Ipv6Exthdrs,
    /// A type that is newer than this list.
    Unknown(u16),
}

impl Kind {
    /// In the order of their numbers, from 0 on.
    const KNOWN: [Self; 33] = [
        Self::Unspec,
        Self::Encap,
        Self::Priority,
        Self::InPort,
        Self::Ethernet,
        Self::Vlan,
        Self::Ethertype,
        Self::Ipv4,
        Self::Ipv6,
        Self::Tcp,
        Self::Udp,
        Self::Icmp,
        Self::Icmpv6,
        Self::Arp,
        Self::Nd,
        Self::SkbMark,
        Self::Tunnel,
        Self::Sctp,
        Self::TcpFlags,
        Self::DpHash,
        Self::RecircId,
        Self::Mpls,
        Self::CtState,
        Self::CtZone,
        Self::CtMark,
        Self::CtLabels,
        Self::CtOrigTupleIpv4,
        Self::CtOrigTupleIpv6,
        Self::Nsh,
        Self::PacketType,
        Self::NdExtensions,
        Self::TunnelInfo,
        Self::Ipv6Exthdrs,
    ];

    /// The type of an attribute of a flow key.
    #[must_use]
    pub fn of(attribute: &Attribute<'_>) -> Self {
        let number = attribute.number();
        Self::KNOWN.get(usize::from(number)).copied().unwrap_or(Self::Unknown(number))
    }

    /// The name that OVS prints (`ovs_key_attr_to_string()` of lib/odp-util.c); `None` where it
    /// prints `key` and the number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Unspec => "unspec",
            Self::Encap => "encap",
            Self::Priority => "skb_priority",
            Self::InPort => "in_port",
            Self::Ethernet => "eth",
            Self::Vlan => "vlan",
            Self::Ethertype => "eth_type",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Arp => "arp",
            Self::Nd => "nd",
            Self::SkbMark => "skb_mark",
            Self::Tunnel => "tunnel",
            Self::Sctp => "sctp",
            Self::TcpFlags => "tcp_flags",
            Self::DpHash => "dp_hash",
            Self::RecircId => "recirc_id",
            Self::Mpls => "mpls",
            Self::CtState => "ct_state",
            Self::CtZone => "ct_zone",
            Self::CtMark => "ct_mark",
            Self::CtLabels => "ct_label",
            Self::CtOrigTupleIpv4 => "ct_tuple4",
            Self::CtOrigTupleIpv6 => "ct_tuple6",
            Self::Nsh => "nsh",
            Self::PacketType => "packet_type",
            Self::NdExtensions => "nd_ext",
            Self::TunnelInfo => "<error: kernel-only tunnel_info>",
            Self::Ipv6Exthdrs | Self::Unknown(_) => return None,
        })
    }
}
