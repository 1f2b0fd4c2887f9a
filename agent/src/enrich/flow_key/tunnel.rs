//! Tunnel metadata: `OVS_TUNNEL_KEY_ATTR_*` of the kernel's include/uapi/linux/openvswitch.h.

use std::fmt;

use super::field::{self, Field, Form, Hex, field, value};
use super::flags::{self, Flags};
use super::netlink::{Attribute, Attributes};
use super::text::{List, bad_length, structure, unknown};

// Bits of `flags::TUNNEL`.
const OAM: u32 = 1 << 0;
const DONT_FRAGMENT: u32 = 1 << 1;
const CSUM: u32 = 1 << 2;
const KEY: u32 = 1 << 3;

/// What one attribute of a tunnel is made of.
enum Layout {
    /// One value of this many bytes.
    Value(usize, Field),
    /// No payload: the flag is set.
    Flag(u32),
    /// No payload: a word of its own.
    Word(&'static str),
    Padding,
    Geneve,
    Vxlan,
    Erspan,
    Unknown,
}

/// Lengths as in `ovs_tun_key_attr_lens` of OVS's lib/odp-util.c. Type 16 is what it is in the
/// kernel; OVS's userspace datapath uses the same number for `GTPU_OPTS`.
const fn layout(number: u16) -> Layout {
    match number {
        0 => Layout::Value(8, field("tun_id", 0, Form::FullHex64)),
        1 => Layout::Value(4, field("src", 0, Form::Ipv4)),
        2 => Layout::Value(4, field("dst", 0, Form::Ipv4)),
        3 => Layout::Value(1, field("tos", 0, Form::Hex8)),
        4 => Layout::Value(1, field("ttl", 0, Form::Dec8)),
        5 => Layout::Flag(DONT_FRAGMENT),
        6 => Layout::Flag(CSUM),
        7 => Layout::Flag(OAM),
        8 => Layout::Geneve,
        9 => Layout::Value(2, field("tp_src", 0, Form::Dec16)),
        10 => Layout::Value(2, field("tp_dst", 0, Form::Dec16)),
        11 => Layout::Vxlan,
        12 => Layout::Value(16, field("ipv6_src", 0, Form::Ipv6)),
        13 => Layout::Value(16, field("ipv6_dst", 0, Form::Ipv6)),
        14 => Layout::Padding,
        15 => Layout::Erspan,
        16 => Layout::Word("ipv4_info_bridge"),
        _ => Layout::Unknown,
    }
}

impl Layout {
    /// The length that the payload must have, if it must have one.
    const fn len(&self) -> Option<usize> {
        match *self {
            Self::Value(len, _) => Some(len),
            Self::Flag(_) | Self::Word(_) | Self::Padding => Some(0),
            Self::Geneve | Self::Vxlan | Self::Erspan | Self::Unknown => None,
        }
    }
}

/// `format_odp_tun_attr()` of OVS's lib/odp-util.c. Of a tunnel that was cut, the flags are those
/// that were seen.
pub(super) fn write(f: &mut fmt::Formatter<'_>, attributes: Attributes<'_>) -> fmt::Result {
    let mut list = List::new(f);
    let mut bits = 0;
    for attribute in attributes {
        let layout = layout(attribute.number());
        if let Some(len) = layout.len()
            && len != attribute.len()
        {
            bad_length(list.item()?, &attribute, len)?;
            continue;
        }
        match layout {
            Layout::Value(_, value) => {
                field::add(&mut list, &[value], attribute.bytes())?;
                if attribute.number() == 0 {
                    bits |= KEY;
                }
            }
            Layout::Flag(bit) => bits |= bit,
            Layout::Word(word) => list.item()?.write_str(word)?,
            Layout::Padding => {}
            Layout::Geneve => in_parentheses(list.item()?, "geneve", |f| geneve(f, &attribute))?,
            Layout::Vxlan => in_parentheses(list.item()?, "vxlan", |f| vxlan(f, &attribute))?,
            Layout::Erspan => in_parentheses(list.item()?, "erspan", |f| erspan(f, &attribute))?,
            Layout::Unknown => unknown(list.item()?, &attribute)?,
        }
    }
    write!(list.item()?, "flags({})", Flags { bits, names: flags::TUNNEL })?;
    if attributes.is_cut() { list.cut() } else { Ok(()) }
}

fn in_parentheses<'w>(
    f: &mut fmt::Formatter<'w>,
    name: &str,
    write: impl FnOnce(&mut fmt::Formatter<'w>) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{name}(")?;
    write(f)?;
    f.write_str(")")
}

/// `format_odp_tun_vxlan_opt()`: nested attributes, of which only `OVS_VXLAN_EXT_GBP` has a use.
fn vxlan(f: &mut fmt::Formatter<'_>, attribute: &Attribute<'_>) -> fmt::Result {
    const GBP: u16 = 1;
    let options = attribute.nested();
    let mut list = List::new(f);
    for option in options {
        match (option.number(), option.len()) {
            (GBP, 4) => in_parentheses(list.item()?, "gbp", |f| {
                structure(f, &option, &[value(Form::VxlanGbp)])
            })?,
            (GBP, _) => bad_length(list.item()?, &option, 4)?,
            _ => unknown(list.item()?, &option)?,
        }
    }
    if options.is_cut() { list.cut() } else { Ok(()) }
}

/// `format_geneve_opts()`: options of four bytes of header and a multiple of four bytes of data.
fn geneve(f: &mut fmt::Formatter<'_>, attribute: &Attribute<'_>) -> fmt::Result {
    const HEADER: usize = 4;
    let (mut left, mut bytes) = (attribute.len(), attribute.bytes());
    while left > 0 {
        if left < HEADER {
            return write!(f, "opt len {left} less than minimum {HEADER}");
        }
        let Some((&[class0, class1, kind, words], rest)) = bytes.split_first_chunk() else {
            return f.write_str("...");
        };
        let data_len = usize::from(words & 0x1f) * 4;
        let len = HEADER + data_len;
        if len > left {
            return write!(f, "opt len {len} greater than remaining {left}");
        }
        let class = Hex(u16::from_be_bytes([class0, class1]).into());
        write!(f, "{{class={class},type={},len={data_len}", Hex(kind.into()))?;
        match rest.split_at_checked(data_len) {
            Some((data, rest)) => {
                if !data.is_empty() {
                    write!(f, ",{}", LongHex(data))?;
                }
                bytes = rest;
            }
            None => return f.write_str(",...}"),
        }
        f.write_str("}")?;
        left -= len;
    }
    Ok(())
}

/// `format_odp_tun_erspan_opt()`: `struct erspan_metadata` of the kernel's
/// include/uapi/linux/erspan.h, a version in host byte order and what it is the version of.
fn erspan(f: &mut fmt::Formatter<'_>, attribute: &Attribute<'_>) -> fmt::Result {
    let mut list = List::new(f);
    let Some((&version, metadata)) = attribute.bytes().split_first_chunk() else {
        return if attribute.is_cut() { list.cut() } else { Ok(()) };
    };
    let version = u32::from_ne_bytes(version);
    write!(list.item()?, "ver={}", version & 0xff)?;
    match version {
        1 => {
            field::add(&mut list, &[field("idx", 0, Form::Hex32)], metadata)?;
        }
        2 => {
            // The last byte of `struct erspan_md2`: hwid:4, dir:1, gra:2, o:1.
            if let Some(&byte) = metadata.get(7) {
                write!(list.item()?, "dir={},hwid={}", byte >> 3 & 1, Hex((byte >> 4).into()))?;
            }
        }
        _ => {}
    }
    if attribute.is_cut() { list.cut() } else { Ok(()) }
}

/// `ds_put_hex()` of OVS's lib/dynamic-string.c: bytes as one number of any length.
struct LongHex<'a>(&'a [u8]);

impl fmt::Display for LongHex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zeros = self.0.iter().take_while(|&&byte| byte == 0).count();
        let Some((first, rest)) = self.0[zeros..].split_first() else {
            return f.write_str("0");
        };
        write!(f, "{first:#x}")?;
        for byte in rest {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
