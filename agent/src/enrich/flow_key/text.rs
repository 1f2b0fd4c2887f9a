//! Flow keys as text: `odp_flow_format()` of OVS's lib/odp-util.c.

use std::fmt;

use super::field::{self, Field, Form, value};
use super::kind::Kind;
use super::layout::Layout;
use super::netlink::{Attribute, Attributes, Rest};
use super::{FlowKey, nsh, tunnel};
use crate::ports::{DatapathId, PortNo, Ports};

/// Keys nested deeper are printed as bytes, so that no input can exhaust the stack. The kernel
/// nests twice, for two VLAN tags (`MAX_ODP_NESTED` of OVS's lib/odp-util.c).
const MAX_DEPTH: u32 = 32;

/// A flow key with the name of its port.
pub(super) struct WithNames<'a> {
    pub(super) key: FlowKey<'a>,
    pub(super) ports: &'a Ports,
    pub(super) datapath: DatapathId,
}

impl WithNames<'_> {
    fn port_name(&self, attribute: &Attribute<'_>) -> Option<&str> {
        let number = PortNo(u32::from_ne_bytes(attribute.value()?));
        self.ports.name(self.datapath, number)
    }
}

impl fmt::Display for WithNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        flow(f, self.key.attributes(), Some(self), 0)
    }
}

/// Items separated by commas.
pub(super) struct List<'f, 'w> {
    f: &'f mut fmt::Formatter<'w>,
    is_empty: bool,
}

impl<'f, 'w> List<'f, 'w> {
    /// An empty list.
    pub(super) fn new(f: &'f mut fmt::Formatter<'w>) -> Self {
        Self { f, is_empty: true }
    }

    /// Begins an item: writes the comma, if one is due.
    pub(super) fn item(&mut self) -> Result<&mut fmt::Formatter<'w>, fmt::Error> {
        if !self.is_empty {
            self.f.write_str(",")?;
        }
        self.is_empty = false;
        Ok(self.f)
    }

    /// Says that more follows which was not captured.
    pub(super) fn cut(&mut self) -> fmt::Result {
        self.item()?.write_str("...")
    }
}

/// Writes the attributes of a key, with the port's name if there are names.
pub(super) fn flow(
    f: &mut fmt::Formatter<'_>,
    mut attributes: Attributes<'_>,
    names: Option<&WithNames<'_>>,
    depth: u32,
) -> fmt::Result {
    if attributes.len() == 0 {
        return f.write_str("<empty>");
    }
    let is_cut = attributes.is_cut();
    let mut list = List::new(f);
    for attribute in attributes.by_ref() {
        key_attribute(list.item()?, &attribute, names, depth)?;
    }
    if let Rest::Leftover { len, bytes } = attributes.rest() {
        if list.is_empty {
            list.item()?.write_str("<empty>")?;
        }
        write!(list.item()?, "***{len} leftover bytes*** (")?;
        for byte in bytes {
            write!(list.f, "{byte:02x}")?;
        }
        list.f.write_str(")")?;
    }
    if is_cut { list.cut() } else { Ok(()) }
}

fn key_attribute(
    f: &mut fmt::Formatter<'_>,
    attribute: &Attribute<'_>,
    names: Option<&WithNames<'_>>,
    depth: u32,
) -> fmt::Result {
    let kind = Kind::of(attribute);
    let layout = Layout::of(kind);
    if let Layout::Struct(len, _) = layout
        && len != attribute.len()
    {
        return bad_length(f, attribute, len);
    }
    match kind.name() {
        Some(name) => write!(f, "{name}(")?,
        None => write!(f, "key{}(", attribute.number())?,
    }
    match layout {
        Layout::Struct(_, fields) => {
            let names = names.filter(|_| kind == Kind::InPort);
            match names.and_then(|names| names.port_name(attribute)) {
                Some(name) => f.write_str(name)?,
                None => structure(f, attribute, fields)?,
            }
        }
        Layout::Mpls => mpls(f, attribute)?,
        Layout::Encap if attribute.len() == 0 => {}
        Layout::Encap if depth < MAX_DEPTH => flow(f, attribute.nested(), None, depth + 1)?,
        Layout::Tunnel => tunnel::write(f, attribute.nested())?,
        Layout::Nsh => nsh::write(f, attribute.nested())?,
        Layout::Encap | Layout::Opaque => bytes(f, attribute)?,
    }
    f.write_str(")")
}

/// Writes the fields that were captured.
pub(super) fn structure(
    f: &mut fmt::Formatter<'_>,
    attribute: &Attribute<'_>,
    fields: &[Field],
) -> fmt::Result {
    let mut list = List::new(f);
    let all = field::add(&mut list, fields, attribute.bytes())?;
    if all { Ok(()) } else { list.cut() }
}

fn mpls(f: &mut fmt::Formatter<'_>, attribute: &Attribute<'_>) -> fmt::Result {
    const ENTRY: usize = 4;
    if attribute.len() == 0 || !attribute.len().is_multiple_of(ENTRY) {
        return write!(f, "bad key length {}", attribute.len());
    }
    let mut list = List::new(f);
    for entry in attribute.bytes().chunks_exact(ENTRY) {
        field::add(&mut list, &[value(Form::MplsEntry)], entry)?;
    }
    if attribute.is_cut() { list.cut() } else { Ok(()) }
}

/// Writes an attribute whose length is not the one that its type has.
pub(super) fn bad_length(
    f: &mut fmt::Formatter<'_>,
    attribute: &Attribute<'_>,
    expected: usize,
) -> fmt::Result {
    let (number, len) = (attribute.number(), attribute.len());
    write!(f, "key{number}(bad key length {len}, expected {expected})(")?;
    bytes(f, attribute)?;
    f.write_str(")")
}

/// Writes an attribute whose type is not known.
pub(super) fn unknown(f: &mut fmt::Formatter<'_>, attribute: &Attribute<'_>) -> fmt::Result {
    write!(f, "key{}(", attribute.number())?;
    bytes(f, attribute)?;
    f.write_str(")")
}

/// Writes a payload of which nothing is known.
fn bytes(f: &mut fmt::Formatter<'_>, attribute: &Attribute<'_>) -> fmt::Result {
    let mut separator = "";
    for byte in attribute.bytes() {
        write!(f, "{separator}{byte:02x}")?;
        separator = " ";
    }
    if attribute.is_cut() { write!(f, "{separator}...") } else { Ok(()) }
}
