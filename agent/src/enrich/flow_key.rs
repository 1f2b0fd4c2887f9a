//! OVS netlink flow keys (`OVS_KEY_ATTR_*` of the kernel's include/uapi/linux/openvswitch.h).
//!
//! The kernel describes a packet that missed the flow table as a list of netlink attributes.
//! [`FlowKey`] reads them where they lie: nothing is copied or allocated, and a key that the
//! capture cut short is read as far as it goes.

mod field;
mod flags;
mod kind;
mod layout;
mod netlink;
mod nsh;
#[cfg(test)]
mod tests;
mod text;
mod tunnel;

use std::fmt;

pub use flags::CtState;
pub use kind::Kind;
pub use netlink::{Attribute, Attributes};

use crate::event::FlowKeyBytes;
use crate::ports::{DatapathId, PortNo, Ports};

/// A flow key, decoded as it is read.
///
/// `Display` prints it as `odp_flow_format()` of OVS's lib/odp-util.c prints an exact-match flow
/// for `ovs-dpctl dump-flows`, with three differences: a key that was cut ends with `,...`, as does
/// the attribute in which it was cut; an attribute of impossible length, which OVS prints without
/// its type and separator, has both (`key3(bad key length 2, expected 4)(07 00)`); and the tunnel
/// attribute `IPV4_INFO_BRIDGE`, which OVS does not know, is printed by its name.
///
/// ```
/// use upspan::enrich::FlowKey;
/// use upspan::event::FlowKeyBytes;
/// use upspan::ports::PortNo;
///
/// // recirc_id and in_port; of the attribute that follows, only the header was captured.
/// let header = |len: u16, number: u16| [len.to_ne_bytes(), number.to_ne_bytes()].concat();
/// let value = |value: u32| value.to_ne_bytes().to_vec();
/// let bytes = [header(8, 20), value(1), header(8, 3), value(2), header(8, 15)].concat();
///
/// let key = FlowKey::new(FlowKeyBytes { len: 24, bytes: &bytes });
/// assert_eq!(key.in_port(), Some(PortNo(2)));
/// assert_eq!(key.to_string(), "recirc_id(0x1),in_port(2),skb_mark(...),...");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FlowKey<'a> {
    attributes: Attributes<'a>,
}

impl<'a> FlowKey<'a> {
    /// Wraps the captured bytes of a key.
    #[must_use]
    pub fn new(key: FlowKeyBytes<'a>) -> Self {
        let len = usize::try_from(key.len).unwrap_or(usize::MAX);
        Self { attributes: Attributes::new(len, key.bytes) }
    }

    /// The attributes in the order in which the kernel wrote them. The last one may be cut.
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        self.attributes
    }

    /// Whether a part of the key was not captured.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.attributes.is_cut()
    }

    /// Port that the packet came in by. Tunnelled packets may have none.
    #[must_use]
    pub fn in_port(&self) -> Option<PortNo> {
        self.value(Kind::InPort).map(u32::from_ne_bytes).map(PortNo)
    }

    /// Which recirculation the packet is in; 0 before the first one.
    #[must_use]
    pub fn recirc_id(&self) -> Option<u32> {
        self.value(Kind::RecircId).map(u32::from_ne_bytes)
    }

    /// What connection tracking says of the packet; nothing set when it was not tracked yet.
    #[must_use]
    pub fn ct_state(&self) -> Option<CtState> {
        self.value(Kind::CtState).map(u32::from_ne_bytes).map(CtState::from_bits)
    }

    /// Connection tracking zone; 0 when the packet was not tracked yet.
    #[must_use]
    pub fn ct_zone(&self) -> Option<u16> {
        self.value(Kind::CtZone).map(u16::from_ne_bytes)
    }

    /// Whether the packet came through a tunnel.
    #[must_use]
    pub fn has_tunnel(&self) -> bool {
        self.find(Kind::Tunnel).is_some()
    }

    /// Prints the key with the name of its port, as `ovs-dpctl dump-flows --names` does; a port
    /// without a known name by its number.
    #[must_use]
    pub fn display(self, ports: &'a Ports, datapath: DatapathId) -> impl fmt::Display + 'a {
        text::WithNames { key: self, ports, datapath }
    }

    fn find(&self, kind: Kind) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| Kind::of(attribute) == kind)
    }

    fn value<const N: usize>(&self, kind: Kind) -> Option<[u8; N]> {
        self.find(kind)?.value()
    }
}

impl fmt::Display for FlowKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::flow(f, self.attributes, None, 0)
    }
}
