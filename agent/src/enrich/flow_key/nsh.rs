//! Network service headers: `OVS_NSH_KEY_ATTR_*` of the kernel's include/uapi/linux/openvswitch.h.

use std::fmt;

use super::field::{self, Field, Form, field};
use super::netlink::Attributes;
use super::text::{List, bad_length};

/// `struct ovs_nsh_key_base`.
const BASE: [Field; 5] = [
    field("flags", 0, Form::Dec8),
    field("ttl", 1, Form::Dec8),
    field("mdtype", 2, Form::Dec8),
    field("np", 3, Form::Dec8),
    field("", 4, Form::NshPath),
];

/// `struct ovs_nsh_key_md1`.
const METADATA1: [Field; 4] = [
    field("c1", 0, Form::FullHex32),
    field("c2", 4, Form::FullHex32),
    field("c3", 8, Form::FullHex32),
    field("c4", 12, Form::FullHex32),
];

/// `format_odp_nsh_attr()` of OVS's lib/odp-util.c. Metadata of type 2 is not printed there either.
pub(super) fn write(f: &mut fmt::Formatter<'_>, attributes: Attributes<'_>) -> fmt::Result {
    let mut list = List::new(f);
    for attribute in attributes {
        let (len, fields): (_, &[Field]) = match attribute.number() {
            1 => (8, &BASE),
            2 => (16, &METADATA1),
            _ => continue,
        };
        if attribute.len() == len {
            field::add(&mut list, fields, attribute.bytes())?;
        } else {
            bad_length(list.item()?, &attribute, len)?;
        }
    }
    if attributes.is_cut() { list.cut() } else { Ok(()) }
}
