//! Messages of the families `ovs_datapath` and `ovs_vport`.
//!
//! Mirrors the kernel's include/uapi/linux/openvswitch.h.

use crate::ports::{IfIndex, NetnsId, PortDetails, PortNo, PortType};

use super::message::{FamilyId, Generic, Request, attributes, number, text};

/// `OVS_DATAPATH_FAMILY`; its group has the same name (`OVS_DATAPATH_MCGROUP`).
pub(super) const DATAPATH_FAMILY: &str = "ovs_datapath";

/// `OVS_VPORT_FAMILY`; its group has the same name (`OVS_VPORT_MCGROUP`).
pub(super) const VPORT_FAMILY: &str = "ovs_vport";

const OVS_DATAPATH_VERSION: u8 = 2;
const OVS_VPORT_VERSION: u8 = 1;

// `enum ovs_datapath_cmd` and `enum ovs_vport_cmd`, which agree.
const CMD_NEW: u8 = 1;
const CMD_DEL: u8 = 2;
const CMD_GET: u8 = 3;
const CMD_SET: u8 = 4;

const OVS_DP_ATTR_NAME: u16 = 1;

const OVS_VPORT_ATTR_PORT_NO: u16 = 1;
const OVS_VPORT_ATTR_TYPE: u16 = 2;
const OVS_VPORT_ATTR_NAME: u16 = 3;
const OVS_VPORT_ATTR_IFINDEX: u16 = 8;
const OVS_VPORT_ATTR_NETNSID: u16 = 9;

/// `dp_ifindex` of `struct ovs_header`: which datapath a message is about, by the interface index
/// of its local port. 0 in a request is none in particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DpIfIndex(pub(super) i32);

impl DpIfIndex {
    const NONE: Self = Self(0);
}

/// A datapath that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DatapathInfo {
    pub(super) ifindex: DpIfIndex,
    pub(super) name: Vec<u8>,
}

/// A port that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortInfo {
    pub(super) datapath: DpIfIndex,
    pub(super) number: PortNo,
    pub(super) name: Vec<u8>,
    pub(super) details: PortDetails,
}

/// What a message says of a datapath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DatapathChange {
    /// It is there: an answer, or announced when it was created or set.
    Here(DatapathInfo),
    /// It was deleted, and its ports with it: they are not announced.
    Gone(DpIfIndex),
}

/// What a message says of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortChange {
    /// It is there: an answer, or announced when it was added or set.
    Here(PortInfo),
    /// It was removed.
    Gone(DpIfIndex, PortNo),
}

/// Asks for all datapaths of this network namespace.
pub(super) fn dump_datapaths(family: FamilyId) -> Request {
    dump(family, OVS_DATAPATH_VERSION, DpIfIndex::NONE)
}

/// Asks for all ports of a datapath.
pub(super) fn dump_ports(family: FamilyId, datapath: DpIfIndex) -> Request {
    dump(family, OVS_VPORT_VERSION, datapath)
}

fn dump(family: FamilyId, version: u8, datapath: DpIfIndex) -> Request {
    let body = datapath.0.to_ne_bytes().to_vec();
    Request { family, command: CMD_GET, version, is_dump: true, body }
}

/// What a message of `ovs_datapath` says; `None` if it cannot be understood.
pub(super) fn datapath_change(message: Generic<'_>) -> Option<DatapathChange> {
    let (ifindex, body) = header(message.body)?;
    match message.command {
        CMD_DEL => Some(DatapathChange::Gone(ifindex)),
        CMD_NEW | CMD_GET | CMD_SET => {
            let name = attributes(body).find(|attribute| attribute.0 == OVS_DP_ATTR_NAME)?.1;
            Some(DatapathChange::Here(DatapathInfo { ifindex, name: text(name)?.to_vec() }))
        }
        _ => None,
    }
}

/// What a message of `ovs_vport` says; `None` if it cannot be understood.
pub(super) fn port_change(message: Generic<'_>) -> Option<PortChange> {
    let (datapath, body) = header(message.body)?;
    let (mut port, mut name, mut details) = (None, None, PortDetails::default());
    for (kind, value) in attributes(body) {
        match kind {
            OVS_VPORT_ATTR_PORT_NO => port = number(value).map(u32::from_ne_bytes),
            OVS_VPORT_ATTR_TYPE => {
                let number = number(value).map(u32::from_ne_bytes);
                details.port_type = number.map(PortType::from_number);
            }
            OVS_VPORT_ATTR_NAME => name = text(value),
            OVS_VPORT_ATTR_IFINDEX => {
                details.ifindex = number(value).map(u32::from_ne_bytes).map(IfIndex);
            }
            OVS_VPORT_ATTR_NETNSID => {
                details.netns = number(value).map(i32::from_ne_bytes).map(NetnsId);
            }
            _ => {}
        }
    }
    let number = PortNo(port?);
    match message.command {
        CMD_DEL => Some(PortChange::Gone(datapath, number)),
        CMD_NEW | CMD_GET | CMD_SET => {
            Some(PortChange::Here(PortInfo { datapath, number, name: name?.to_vec(), details }))
        }
        _ => None,
    }
}

/// Splits `struct ovs_header` off.
fn header(body: &[u8]) -> Option<(DpIfIndex, &[u8])> {
    let (ifindex, attributes) = body.split_first_chunk()?;
    Some((DpIfIndex(i32::from_ne_bytes(*ifindex)), attributes))
}
