//! Decoded, typed events: what the probes of Open vSwitch report, one event at a time.
//!
//! An [`Event`] borrows the packet and key bytes from its source, so that reading a recording or a
//! ring buffer costs no allocation per event; whoever must keep bytes copies them.

use std::fmt;

use serde::Serialize;

use crate::ports::{DatapathId, PortNo};

/// Time in nanoseconds of `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MonotonicNs(pub u64);

impl MonotonicNs {
    /// Nanoseconds from `earlier` to `self`; negative when `self` is the earlier one.
    ///
    /// Timestamps of different CPUs may step back, so the sign is kept.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// 0-based position of an event among the events of its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Ordinal(pub u64);

/// Logical CPU number on which the probe fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Cpu(pub u32);

/// Kernel thread id (`task_struct::pid`) of the task in whose context the probe fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Tid(pub u32);

/// Process id (`task_struct::tgid`): that of the process's first thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Pid(pub u32);

/// Name of a task (`task_struct::comm`): at most 15 bytes, NUL-padded (`TASK_COMM_LEN` is 16).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Comm([u8; Self::LEN]);

impl Comm {
    /// `TASK_COMM_LEN` of the kernel, in bytes.
    pub const LEN: usize = 16;

    /// No name.
    pub const EMPTY: Self = Self([0; Self::LEN]);

    /// Takes the bytes up to the first NUL, 15 at most.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut comm = [0; Self::LEN];
        let name = bytes.split(|&b| b == 0).next().unwrap_or_default();
        let len = name.len().min(Self::LEN - 1);
        comm[..len].copy_from_slice(&name[..len]);
        Self(comm)
    }

    /// The name's bytes, without padding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(Self::LEN);
        &self.0[..len]
    }

    /// Whether vswitchd names its revalidator threads like this: they put flows that belong to no
    /// upcall (`udpif_start_threads` in OVS's ofproto/ofproto-dpif-upcall.c).
    #[must_use]
    pub fn is_revalidator(&self) -> bool {
        self.0.starts_with(b"revalidator")
    }

    /// The name as text, borrowed unless it holds invalid UTF-8.
    #[must_use]
    pub fn to_str_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_str_lossy())
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str_lossy(), f)
    }
}

/// The five kinds of events, by their names in reports and recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// USDT `dpif_recv:recv_upcall`: a handler thread has read an upcall.
    RecvUpcall,
    /// Tracepoint `openvswitch:ovs_dp_upcall`: the kernel is about to send an upcall.
    DpUpcall,
    /// USDT `dpif_netlink_operate__:op_flow_put`: a thread encodes a flow to install.
    OpFlowPut,
    /// USDT `dpif_netlink_operate__:op_flow_execute`: a thread encodes a packet to execute.
    OpFlowExecute,
    /// Kprobe `ovs_packet_cmd_execute`: the kernel starts to execute a packet.
    OvsPktExec,
}

impl EventKind {
    /// All kinds, in the order of their codes in recordings.
    pub const ALL: [Self; 5] =
        [Self::RecvUpcall, Self::DpUpcall, Self::OpFlowPut, Self::OpFlowExecute, Self::OvsPktExec];

    /// All kinds, in the order in which an upcall meets them.
    pub const IN_ORDER: [Self; 5] =
        [Self::DpUpcall, Self::RecvUpcall, Self::OpFlowPut, Self::OpFlowExecute, Self::OvsPktExec];

    /// The kind with this code (0–4) in a recording's `event` field.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// The name used in JSON, attributes and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecvUpcall => "recv_upcall",
            Self::DpUpcall => "dp_upcall",
            Self::OpFlowPut => "op_flow_put",
            Self::OpFlowExecute => "op_flow_execute",
            Self::OvsPktExec => "ovs_pkt_exec",
        }
    }

    /// The label that upcall_cost.py prints, as in the version merged into Open vSwitch.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RecvUpcall => "dpif_recv__recv_upcall",
            Self::DpUpcall => "openvswitch__dp_upcall",
            Self::OpFlowPut => "dpif_netlink_operate__op_flow_put",
            Self::OpFlowExecute => "dpif_netlink_operate__op_flow_execute",
            Self::OvsPktExec => "ktrace__ovs_packet_cmd_execute",
        }
    }

    /// Position in [`EventKind::ALL`], to index per-kind tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What every event carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventHead {
    /// Position in the source.
    pub ordinal: Ordinal,
    /// When the probe fired.
    pub ts: MonotonicNs,
    /// Where the probe fired.
    pub cpu: Cpu,
    /// Thread that hit the probe.
    pub tid: Tid,
    /// Name of that thread.
    pub comm: Comm,
}

/// A packet as far as a probe captured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Length of the whole packet in bytes (`skb->len`, `dp_packet_size`).
    pub len: u32,
    /// The captured bytes from the Ethernet header on; never longer than `len`.
    pub bytes: &'a [u8],
}

/// A netlink flow key (`OVS_KEY_ATTR_*` attributes) as far as a probe captured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowKeyBytes<'a> {
    /// Length of the whole key in bytes.
    pub len: u32,
    /// The captured bytes; never longer than `len`.
    pub bytes: &'a [u8],
}

/// What a `recv_upcall`'s flow key says of the port that the packet came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InPort {
    /// `OVS_KEY_ATTR_IN_PORT`.
    Port(PortNo),
    /// The key has tunnel metadata but no `in_port` (or was cut before it): any port may be meant.
    Any,
}

/// One event, with what its kind carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What every event carries.
    pub head: EventHead,
    /// What this kind carries.
    pub body: EventBody<'a>,
}

impl Event<'_> {
    /// The kind of this event.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self.body {
            EventBody::DpUpcall { .. } => EventKind::DpUpcall,
            EventBody::RecvUpcall { .. } => EventKind::RecvUpcall,
            EventBody::FlowPut => EventKind::OpFlowPut,
            EventBody::FlowExecute { .. } => EventKind::OpFlowExecute,
            EventBody::PacketExecute => EventKind::OvsPktExec,
        }
    }
}

/// Why a packet was sent up: `enum dpif_upcall_type` of Open vSwitch's lib/dpif.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpcallType {
    /// No flow matched it. vswitchd puts one, and sends the packet back.
    #[default]
    Miss,
    /// A flow has the action `userspace`: sFlow, IPFIX, the controller, or a flow that vswitchd
    /// handles itself (slow path). No flow is put, and seldom is the packet sent back.
    Action,
}

impl UpcallType {
    /// The name used in JSON and attributes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Action => "action",
        }
    }
}

/// What the kinds of events carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventBody<'a> {
    /// See [`EventKind::DpUpcall`].
    DpUpcall {
        /// Why the packet is sent up.
        upcall_type: UpcallType,
        /// Datapath of the port.
        datapath: DatapathId,
        /// Port that the packet came in by.
        port: PortNo,
        /// The packet before the kernel prepares it for delivery: partial checksum, accelerated
        /// VLAN tag not in the bytes, GSO super-packets whole. Of a non-linear skb only the linear
        /// part is captured.
        packet: Packet<'a>,
        /// Length in bytes of the linear part of a non-linear skb (`skb->len - skb->data_len`);
        /// 0 for a linear one.
        linear_len: u32,
    },
    /// See [`EventKind::RecvUpcall`].
    RecvUpcall {
        /// Why the packet was sent up.
        upcall_type: UpcallType,
        /// Datapath that vswitchd reads from.
        datapath: DatapathId,
        /// Port by the flow key.
        in_port: InPort,
        /// The packet as delivered.
        packet: Packet<'a>,
        /// The flow key that the kernel extracted.
        key: FlowKeyBytes<'a>,
    },
    /// See [`EventKind::OpFlowPut`].
    FlowPut,
    /// See [`EventKind::OpFlowExecute`].
    FlowExecute {
        /// The packet to execute.
        packet: Packet<'a>,
    },
    /// See [`EventKind::OvsPktExec`].
    PacketExecute,
}

/// Why an event that was read takes no part in correlation: it says nothing that could be joined.
/// Mirrors the cases in which upcall_cost.py counts an event as not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unusable {
    /// The datapath or the port's name is not in the port map.
    UnknownPort,
    /// The packet is empty or none of it was captured.
    NoPacket,
    /// A `recv_upcall` without flow key.
    NoKey,
    /// A `recv_upcall` of a type that Open vSwitch does not have.
    UnknownType,
}

impl Unusable {
    /// The name used in JSON and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownPort => "unknown_port",
            Self::NoPacket => "no_packet",
            Self::NoKey => "no_key",
            Self::UnknownType => "unknown_type",
        }
    }
}
