//! The records in the ring buffer: a [`Head`], a body by its kind, and captured bytes. A record is
//! as long as what it carries.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::config::MAX_CAPTURE;

/// Kinds of records: the value of [`Head::kind`]. The first five have the numbers that
/// upcall_cost.py gives them.
pub mod kind {
    /// USDT `dpif_recv:recv_upcall`, with a [`super::RecvUpcall`].
    pub const RECV_UPCALL: u32 = 0;
    /// Tracepoint `openvswitch:ovs_dp_upcall`, with a [`super::DpUpcall`].
    pub const DP_UPCALL: u32 = 1;
    /// USDT `dpif_netlink_operate__:op_flow_put`.
    pub const OP_FLOW_PUT: u32 = 2;
    /// USDT `dpif_netlink_operate__:op_flow_execute`, with a [`super::FlowExecute`].
    pub const OP_FLOW_EXECUTE: u32 = 3;
    /// Kprobe `ovs_packet_cmd_execute`.
    pub const OVS_PKT_EXEC: u32 = 4;
    /// `ovs_dp_upcall` has returned an error, with a [`super::UpcallFailed`].
    pub const UPCALL_FAILED: u32 = 5;
    /// How many there are.
    pub const COUNT: u32 = 6;
}

/// Longest record, in bytes.
pub const MAX_LEN: usize = size_of::<Head>() + size_of::<RecvUpcall>() + 2 * MAX_CAPTURE as usize;

/// What every record begins with.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Head {
    /// `bpf_ktime_get_ns`: nanoseconds of `CLOCK_MONOTONIC`.
    pub ts: u64,
    /// Which event of its CPU this is, also counting those for which the ring had no room: where
    /// numbers are left out, events were lost.
    pub seq: u32,
    /// See [`kind`].
    pub kind: u32,
    /// Logical number of the CPU.
    pub cpu: u32,
    /// Process id (`task_struct::tgid`), of the initial pid namespace.
    pub pid: u32,
    /// Thread id (`task_struct::pid`), of the initial pid namespace.
    pub tid: u32,
    /// Bytes of the packet captured, which follow the body.
    pub packet_captured: u16,
    /// Bytes of the flow key captured, which follow those of the packet.
    pub key_captured: u16,
    /// `task_struct::comm`.
    pub comm: [u8; 16],
}

/// Body of a [`kind::DP_UPCALL`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DpUpcall {
    /// Name of the datapath (`ovs-system`), padded with NUL.
    pub datapath: [u8; 16],
    /// Name of the port that the packet came in by, padded with NUL.
    pub port: [u8; 16],
    /// Length of the packet in bytes (`skb->len`).
    pub packet_len: u32,
    /// Bytes of the packet in fragments (`skb->data_len`).
    pub data_len: u32,
    /// `enum ovs_packet_cmd`: 1 miss, 2 action.
    pub upcall_cmd: u32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
}

/// Body of a [`kind::RECV_UPCALL`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RecvUpcall {
    /// vswitchd's name of the datapath (`system@ovs-system`), padded with NUL.
    pub datapath: [u8; 32],
    /// `enum dpif_upcall_type`: 0 miss, 1 action.
    pub upcall_type: u32,
    /// Length of the packet in bytes.
    pub packet_len: u32,
    /// Length of the flow key in bytes.
    pub key_len: u32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
}

/// Body of a [`kind::OP_FLOW_EXECUTE`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FlowExecute {
    /// Length of the packet in bytes.
    pub packet_len: u32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
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
        assert_eq!(size_of::<Head>(), 48);
        assert_eq!(size_of::<DpUpcall>(), 48);
        assert_eq!(size_of::<RecvUpcall>(), 48);
        assert_eq!(size_of::<FlowExecute>(), 8);
        assert_eq!(size_of::<UpcallFailed>(), 16);
        assert_eq!(align_of::<Head>(), 8);
        assert_eq!(MAX_LEN, 4192);
    }

    #[test]
    fn records_survive_the_way_through_bytes() {
        let head = Head {
            ts: 1,
            seq: 2,
            kind: kind::RECV_UPCALL,
            cpu: 3,
            pid: 4,
            tid: 5,
            packet_captured: 6,
            key_captured: 7,
            comm: *b"handler12\0\0\0\0\0\0\0",
        };
        assert_eq!(Head::read_from_bytes(head.as_bytes()), Ok(head));
        let failed = UpcallFailed { dp_upcall: 8, errno: -111, reserved: 0 };
        assert_eq!(UpcallFailed::read_from_bytes(failed.as_bytes()), Ok(failed));
    }
}
