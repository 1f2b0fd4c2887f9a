//! The records in the ring buffer: a [`Head`], an [`Introduction`] where it is due, a body by its
//! kind, and captured bytes. A record is as long as what it carries, in steps of 8 bytes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::config::MAX_CAPTURE;

/// Kinds of records: the value of [`Head::kind`]. The first five have the numbers that
/// upcall_cost.py gives them.
pub mod kind {
    /// USDT `dpif_recv:recv_upcall`, with a [`super::RecvUpcall`].
    pub const RECV_UPCALL: u8 = 0;
    /// Tracepoint `openvswitch:ovs_dp_upcall`, with a [`super::DpUpcall`].
    pub const DP_UPCALL: u8 = 1;
    /// USDT `dpif_netlink_operate__:op_flow_put`.
    pub const OP_FLOW_PUT: u8 = 2;
    /// USDT `dpif_netlink_operate__:op_flow_execute`, with a [`super::FlowExecute`].
    pub const OP_FLOW_EXECUTE: u8 = 3;
    /// Kprobe `ovs_packet_cmd_execute`.
    pub const OVS_PKT_EXEC: u8 = 4;
    /// `ovs_dp_upcall` has returned an error, with a [`super::UpcallFailed`].
    pub const UPCALL_FAILED: u8 = 5;
    /// How many there are.
    pub const COUNT: u32 = 6;
}

/// Longest gap in bytes between the end of a flow key and its packet over which both are captured
/// as one piece: the kernel has attributes between them (`queue_userspace_packet` of its
/// net/openvswitch/datapath.c).
pub const MAX_GAP: u32 = 64;

/// Most captured bytes of a record.
pub const MAX_BYTES: u32 = 2 * MAX_CAPTURE + MAX_GAP;

/// Longest record, in bytes.
pub const MAX_LEN: usize = size_of::<Head>()
    + size_of::<Introduction>()
    + size_of::<RecvUpcall>()
    + size_of::<DatapathName>()
    + MAX_BYTES as usize;

/// What every record begins with.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Head {
    /// See [`word`]. Written last.
    pub word: u64,
    /// `bpf_ktime_get_ns`: nanoseconds of `CLOCK_MONOTONIC`.
    pub ts: u64,
    /// Thread id (`task_struct::pid`), of the initial pid namespace.
    pub tid: u32,
    /// Logical number of the CPU.
    pub cpu: u16,
    /// See [`kind`].
    pub kind: u8,
    /// 1 if an [`Introduction`] follows, else 0.
    pub introduces: u8,
}

/// The value of [`Head::word`]: the record's length in bytes, and how many events of its CPU were
/// lost since the record before.
#[inline(always)]
#[must_use]
pub const fn word(len: u64, lost_before: u32) -> u64 {
    len | (lost_before as u64) << 32
}

impl Head {
    /// The record's length in bytes.
    #[must_use]
    pub const fn record_len(&self) -> u32 {
        self.word as u32
    }

    /// How many events of this CPU were lost since the record before.
    #[must_use]
    pub const fn lost_before(&self) -> u32 {
        (self.word >> 32) as u32
    }
}

/// What is known of a thread: in a record of it now and then, and always before it is needed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Introduction {
    /// Process id (`task_struct::tgid`), of the initial pid namespace.
    pub pid: u32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
    /// `task_struct::comm`.
    pub comm: [u8; 16],
}

/// Body of a [`kind::DP_UPCALL`]. The captured bytes of the packet follow.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DpUpcall {
    /// Length of the packet in bytes (`skb->len`).
    pub packet_len: u32,
    /// Bytes of the packet in fragments (`skb->data_len`).
    pub data_len: u32,
    /// Bytes of the packet captured.
    pub packet_captured: u16,
    /// Where in [`DpUpcall::names`] that of the port begins, by which the packet came in.
    pub port_at: u16,
    /// `enum ovs_packet_cmd`: 1 miss, 2 action.
    pub upcall_cmd: u32,
    /// Names of the datapath (`ovs-system`) and of the port, each with a NUL behind it.
    pub names: [u8; 32],
}

/// Body of a [`kind::RECV_UPCALL`]. A [`DatapathName`] follows where it is due, and then the
/// captured bytes: the flow key, a gap, and the packet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RecvUpcall {
    /// Where vswitchd has its name of the datapath: as long as that is the same, so is the name.
    pub datapath: u64,
    /// Length of the packet in bytes.
    pub packet_len: u32,
    /// Length of the flow key in bytes.
    pub key_len: u32,
    /// `enum dpif_upcall_type`: 0 miss, 1 action.
    pub upcall_type: u32,
    /// Bytes of the packet captured.
    pub packet_captured: u16,
    /// Bytes of the flow key captured.
    pub key_captured: u16,
    /// Where the packet begins, in bytes from where the flow key does.
    pub packet_at: u16,
    /// 1 if a [`DatapathName`] follows, else 0.
    pub names: u16,
    /// Keeps the layout free of padding.
    pub reserved: u32,
}

/// vswitchd's name of a datapath (`system@ovs-system`), with a NUL behind it.
pub type DatapathName = [u8; 32];

/// Body of a [`kind::OP_FLOW_EXECUTE`]. The captured bytes of the packet follow.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FlowExecute {
    /// Length of the packet in bytes.
    pub packet_len: u32,
    /// Bytes of the packet captured.
    pub packet_captured: u32,
}

/// Body of a [`kind::UPCALL_FAILED`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct UpcallFailed {
    /// [`Head::ts`] of the `dp_upcall` on this CPU that it ends.
    pub dp_upcall: u64,
    /// What `ovs_dp_upcall` returned: a negative errno.
    pub errno: i32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_begin_and_end_at_eight_bytes() {
        assert_eq!(size_of::<Head>(), 24);
        assert_eq!(size_of::<Introduction>(), 24);
        assert_eq!(size_of::<DpUpcall>(), 48);
        assert_eq!(size_of::<RecvUpcall>(), 32);
        assert_eq!(size_of::<DatapathName>(), 32);
        assert_eq!(size_of::<FlowExecute>(), 8);
        assert_eq!(size_of::<UpcallFailed>(), 16);
        assert_eq!(align_of::<Head>(), 8);
        assert_eq!(MAX_LEN, 4272);
    }

    #[test]
    fn records_survive_the_way_through_bytes() {
        let head = Head {
            word: word(48, 2),
            ts: 1,
            tid: 5,
            cpu: 3,
            kind: kind::UPCALL_FAILED,
            introduces: 0,
        };
        assert_eq!((head.record_len(), head.lost_before()), (48, 2));
        assert_eq!(Head::read_from_bytes(head.as_bytes()), Ok(head));
        let failed = UpcallFailed { dp_upcall: 8, errno: -111, reserved: 0 };
        assert_eq!(UpcallFailed::read_from_bytes(failed.as_bytes()), Ok(failed));
    }
}
