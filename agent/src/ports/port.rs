//! What is known of a port beyond its number and name.

use std::fmt;

/// Interface index of a port's network device, in the network namespace that the device is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

/// The id that the reader's network namespace has for another one (`NETNSA_NSID`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetnsId(pub i32);

impl NetnsId {
    /// A namespace that has no id, or whose id is not known: `NETNSA_NSID_NOT_ASSIGNED` of the
    /// kernel's include/uapi/linux/net_namespace.h.
    pub const NOT_ASSIGNED: Self = Self(-1);
}

/// What makes a port (`enum ovs_vport_type` of the kernel's include/uapi/linux/openvswitch.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortType {
    /// A network device, tunnel devices of today's vswitchd included: `vxlan_sys_4789`, say.
    Netdev,
    /// A network device that the datapath itself implements.
    Internal,
    /// A GRE tunnel of the datapath's own.
    Gre,
    /// A VXLAN tunnel of the datapath's own.
    Vxlan,
    /// A Geneve tunnel of the datapath's own.
    Geneve,
    /// A number that this list lacks.
    Unknown(u32),
}

impl PortType {
    /// The type with this number.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Netdev,
            2 => Self::Internal,
            3 => Self::Gre,
            4 => Self::Vxlan,
            5 => Self::Geneve,
            other => Self::Unknown(other),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Netdev => 1,
            Self::Internal => 2,
            Self::Gre => 3,
            Self::Vxlan => 4,
            Self::Geneve => 5,
            Self::Unknown(number) => number,
        }
    }
}

impl fmt::Display for PortType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Netdev => "netdev",
            Self::Internal => "internal",
            Self::Gre => "gre",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Unknown(number) => return write!(f, "unknown({number})"),
        })
    }
}

/// What the kernel says of a port beyond its number and name. Recordings of the script have nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortDetails {
    /// What makes the port.
    pub port_type: Option<PortType>,
    /// Its device. The number means nothing in another namespace than [`Self::netns`].
    pub ifindex: Option<IfIndex>,
    /// The network namespace of its device; `None` is the reader's own.
    pub netns: Option<NetnsId>,
}

impl PortDetails {
    /// Whether two devices are certainly in one network namespace, where names are unique.
    pub(super) fn shares_namespace(&self, other: &Self) -> bool {
        self.netns == other.netns && self.netns != Some(NetnsId::NOT_ASSIGNED)
    }
}
