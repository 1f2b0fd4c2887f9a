//! Fields of fixed place in an attribute's payload, and how OVS writes their values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::flags::{self, CtState, Flags};
use super::text::List;
use crate::enrich::Mac;

/// A field of a structure.
#[derive(Clone, Copy)]
pub(super) struct Field {
    /// Printed before the value; empty where the attribute's own name says it.
    name: &'static str,
    /// Place of the first byte.
    at: usize,
    form: Form,
}

/// A named field whose first byte is at `at`.
pub(super) const fn field(name: &'static str, at: usize, form: Form) -> Field {
    Field { name, at, form }
}

/// A payload that is one value.
pub(super) const fn value(form: Form) -> Field {
    field("", 0, form)
}

impl Field {
    /// Reads the field from its structure; `None` when it was cut off.
    fn read(&self, bytes: &[u8]) -> Option<Value> {
        self.form.read(bytes.get(self.at..)?)
    }
}

/// Type of a value, and how it is written. Values are in network byte order but for those whose
/// names say host. `Hex` is C's `%#x`, which writes zero as `0`; `FullHex` writes it as `0x0`.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Dec8,
    Hex8,
    Dec16,
    Hex16,
    Hex32,
    FullHex32,
    FullHex64,
    HostHex16,
    HostHex32,
    HostDec32,
    HostHex128,
    Mac,
    Ipv4,
    Ipv6,
    /// `enum ovs_frag_type`.
    Fragment,
    Ethertype,
    VlanTci,
    MplsEntry,
    TcpFlags,
    CtState,
    /// Path of a network service header: 24 bits of path identifier, 8 bits of index.
    NshPath,
    /// `OVS_VXLAN_EXT_GBP`: group policy id in the lower half, flags above it.
    VxlanGbp,
}

impl Form {
    /// Reads the value at the begin of `bytes`; `None` when they are too few.
    fn read(self, bytes: &[u8]) -> Option<Value> {
        Some(match self {
            Self::Dec8 => Value::Dec((*bytes.first()?).into()),
            Self::Hex8 => Value::Hex((*bytes.first()?).into()),
            Self::Dec16 => Value::Dec(u16::from_be_bytes(take(bytes)?).into()),
            Self::Hex16 => Value::Hex(u16::from_be_bytes(take(bytes)?).into()),
            Self::Hex32 => Value::Hex(u32::from_be_bytes(take(bytes)?).into()),
            Self::FullHex32 => Value::FullHex(u32::from_be_bytes(take(bytes)?).into()),
            Self::FullHex64 => Value::FullHex(u64::from_be_bytes(take(bytes)?)),
            Self::HostHex16 => Value::Hex(u16::from_ne_bytes(take(bytes)?).into()),
            Self::HostHex32 => Value::Hex(u32::from_ne_bytes(take(bytes)?).into()),
            Self::HostDec32 => Value::Dec(u32::from_ne_bytes(take(bytes)?)),
            Self::HostHex128 => Value::Hex(u128::from_ne_bytes(take(bytes)?)),
            Self::Mac => Value::Mac(Mac(take(bytes)?)),
            Self::Ipv4 => Value::Ip(Ipv4Addr::from(take::<4>(bytes)?).into()),
            Self::Ipv6 => Value::Ip(Ipv6Addr::from(take::<16>(bytes)?).into()),
            Self::Fragment => Value::Fragment(*bytes.first()?),
            Self::Ethertype => Value::Ethertype(u16::from_be_bytes(take(bytes)?)),
            Self::VlanTci => Value::VlanTci(u16::from_be_bytes(take(bytes)?)),
            Self::MplsEntry => Value::MplsEntry(u32::from_be_bytes(take(bytes)?)),
            Self::TcpFlags => Value::TcpFlags(u16::from_be_bytes(take(bytes)?)),
            Self::CtState => Value::CtState(CtState::from_bits(u32::from_ne_bytes(take(bytes)?))),
            Self::NshPath => Value::NshPath(u32::from_be_bytes(take(bytes)?)),
            Self::VxlanGbp => Value::VxlanGbp(u32::from_ne_bytes(take(bytes)?)),
        })
    }
}

/// A value that was read.
enum Value {
    Dec(u32),
    Hex(u128),
    FullHex(u64),
    Mac(Mac),
    Ip(IpAddr),
    Fragment(u8),
    Ethertype(u16),
    VlanTci(u16),
    MplsEntry(u32),
    TcpFlags(u16),
    CtState(CtState),
    NshPath(u32),
    VxlanGbp(u32),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Dec(number) => number.fmt(f),
            Self::Hex(number) => Hex(number).fmt(f),
            Self::FullHex(number) => write!(f, "{number:#x}"),
            Self::Mac(mac) => mac.fmt(f),
            Self::Ip(address) => address.fmt(f),
            Self::Fragment(0) => f.write_str("no"),
            Self::Fragment(1) => f.write_str("first"),
            Self::Fragment(2) => f.write_str("later"),
            Self::Fragment(_) => f.write_str("<error>"),
            Self::Ethertype(number) => write!(f, "{number:#06x}"),
            Self::VlanTci(tci) => vlan_tci(f, tci),
            Self::MplsEntry(entry) => mpls_entry(f, entry),
            Self::TcpFlags(bits) => Flags { bits: bits.into(), names: flags::TCP }.fmt(f),
            Self::CtState(state) => state.fmt(f),
            Self::NshPath(path) => write!(f, "spi={:#x},si={}", path >> 8, path & 0xff),
            Self::VxlanGbp(gbp) => {
                write!(f, "id={},flags={}", gbp & 0xffff, Hex((gbp >> 16 & 0xff).into()))
            }
        }
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}

/// `format_vlan_tci()`.
fn vlan_tci(f: &mut fmt::Formatter<'_>, tci: u16) -> fmt::Result {
    write!(f, "vid={},pcp={}", tci & 0xfff, tci >> 13)?;
    // Where a tag is present, OVS keeps the CFI bit set: only its absence says something.
    if tci & 0x1000 == 0 { f.write_str(",cfi=0") } else { Ok(()) }
}

/// `format_mpls_lse()`.
fn mpls_entry(f: &mut fmt::Formatter<'_>, entry: u32) -> fmt::Result {
    let (label, class) = (entry >> 12, entry >> 9 & 7);
    write!(f, "label={label},tc={class},ttl={},bos={}", entry & 0xff, entry >> 8 & 1)
}

/// C's `%#x`: as `{:#x}`, but zero is `0`.
pub(super) struct Hex(pub(super) u128);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "{:#x}", self.0) }
    }
}

/// Adds the fields that `bytes` holds to a list; says whether these are all.
pub(super) fn add(
    list: &mut List<'_, '_>,
    fields: &[Field],
    bytes: &[u8],
) -> Result<bool, fmt::Error> {
    let mut all = true;
    for field in fields {
        match field.read(bytes) {
            Some(value) if field.name.is_empty() => write!(list.item()?, "{value}")?,
            Some(value) => write!(list.item()?, "{}={value}", field.name)?,
            None => all = false,
        }
    }
    Ok(all)
}
