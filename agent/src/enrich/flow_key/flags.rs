//! Bit fields that are printed by the names of their bits.

use std::fmt;

/// Bits with names, from the lowest one on.
pub(super) struct Flags<'a> {
    /// The bits.
    pub(super) bits: u32,
    /// Their names.
    pub(super) names: &'a [&'a str],
}

/// `packet_tcp_flag_to_string()` of OVS's lib/packets.c.
pub(super) const TCP: &[&str] =
    &["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];

/// `FLOW_TNL_F_*` of OVS's include/openvswitch/packets.h.
pub(super) const TUNNEL: &[&str] = &["oam", "df", "csum", "key"];

/// `format_flags()` of OVS's lib/flow.c: names joined by `|`, bits without name as one number.
impl fmt::Display for Flags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == 0 {
            return f.write_str("0");
        }
        let mut separator = "";
        let mut unnamed = self.bits;
        for (bit, name) in self.names.iter().enumerate() {
            if self.bits >> bit & 1 == 1 {
                write!(f, "{separator}{name}")?;
                separator = "|";
                unnamed &= !(1 << bit);
            }
        }
        if unnamed != 0 {
            write!(f, "{separator}{unnamed:#x}")?;
        }
        Ok(())
    }
}

/// Connection tracking state of a packet (`OVS_CS_F_*` of the kernel's
/// include/uapi/linux/openvswitch.h).
///
/// Printed as in an exact-match flow, `new|trk`, and `0` when nothing is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CtState(u32);

impl CtState {
    const NAMES: &[&str] = &["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];

    /// Takes the bits of `OVS_KEY_ATTR_CT_STATE`.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits of `OVS_KEY_ATTR_CT_STATE`.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether the packet went through connection tracking (`OVS_CS_F_TRACKED`).
    #[must_use]
    pub const fn is_tracked(self) -> bool {
        self.0 & 0x20 != 0
    }
}

impl fmt::Display for CtState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Flags { bits: self.0, names: Self::NAMES }.fmt(f)
    }
}
