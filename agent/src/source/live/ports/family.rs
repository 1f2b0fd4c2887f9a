//! Generic netlink's controller, which knows the families and their multicast groups.
//!
//! Mirrors the kernel's include/uapi/linux/genetlink.h. The crate netlink-packet-generic is not
//! used: it refuses a whole answer that has one attribute which it does not know, as newer
//! kernels may send.

use netlink_packet_core::{DefaultNla, Emitable};

use super::message::{FamilyId, Generic, Request, attributes, number, text};

/// The controller's own family (`GENL_ID_CTRL`), which needs no looking up.
pub(super) const CONTROLLER: FamilyId = FamilyId(0x10);

/// The controller's name, and that of its group which announces families.
pub(super) const CONTROLLER_NAME: &str = "nlctrl";
pub(super) const CONTROLLER_GROUP: &str = "notify";

const CTRL_CMD_NEWFAMILY: u8 = 1;
const CTRL_CMD_DELFAMILY: u8 = 2;
const CTRL_CMD_GETFAMILY: u8 = 3;

const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;

const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

/// A multicast group of netlink, as `NETLINK_ADD_MEMBERSHIP` wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupId(pub(super) u32);

/// What the controller says of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) id: FamilyId,
    pub(super) name: Vec<u8>,
    groups: Vec<(Vec<u8>, GroupId)>,
}

/// A message of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FamilyChange {
    /// It is there: an answer, or announced when its module was loaded.
    Here(Family),
    /// It is gone, with its groups: its module was unloaded.
    Gone(Family),
}

impl Family {
    /// The group of this name.
    pub(super) fn group(&self, name: &str) -> Option<GroupId> {
        self.groups.iter().find(|group| group.0 == name.as_bytes()).map(|group| group.1)
    }
}

/// Asks for a family. The kernel loads the module of one that is not there, if it has it
/// (`ctrl_getfamily` in net/netlink/genetlink.c).
pub(super) fn get_family(name: &str) -> Request {
    let mut value = name.as_bytes().to_vec();
    value.push(0);
    let attribute = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, value);
    let mut body = vec![0; attribute.buffer_len()];
    attribute.emit(&mut body);
    Request { family: CONTROLLER, command: CTRL_CMD_GETFAMILY, version: 2, is_dump: false, body }
}

/// What a message of the controller says; `None` if it is about something else.
pub(super) fn family_change(message: Generic<'_>) -> Option<FamilyChange> {
    let change = match message.command {
        CTRL_CMD_NEWFAMILY => FamilyChange::Here,
        CTRL_CMD_DELFAMILY => FamilyChange::Gone,
        _ => return None,
    };
    let (mut id, mut name, mut groups) = (None, None, Vec::new());
    for (kind, value) in attributes(message.body) {
        match kind {
            CTRL_ATTR_FAMILY_ID => id = number(value).map(u16::from_ne_bytes),
            CTRL_ATTR_FAMILY_NAME => name = text(value),
            CTRL_ATTR_MCAST_GROUPS => {
                groups = attributes(value).filter_map(|(_, group)| named_group(group)).collect();
            }
            _ => {}
        }
    }
    Some(change(Family { id: FamilyId(id?), name: name?.to_vec(), groups }))
}

fn named_group(group: &[u8]) -> Option<(Vec<u8>, GroupId)> {
    let (mut id, mut name) = (None, None);
    for (kind, value) in attributes(group) {
        match kind {
            CTRL_ATTR_MCAST_GRP_ID => id = number(value).map(u32::from_ne_bytes),
            CTRL_ATTR_MCAST_GRP_NAME => name = text(value),
            _ => {}
        }
    }
    Some((name?.to_vec(), GroupId(id?)))
}
