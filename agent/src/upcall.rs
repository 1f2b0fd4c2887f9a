//! An upcall put together: the value that the correlator hands on, and that enrichment, traces,
//! reports and waterfalls read.

use std::fmt;

use serde::Serialize;

use crate::event::{EventHead, EventKind, FlowKeyBytes, InPort, MonotonicNs, Packet, UpcallType};
use crate::ports::{DatapathId, PortNo};

/// One upcall. It exists because a handler thread read it (`recv_upcall`); everything else may be
/// missing, and [`Upcall::missing`] says so.
#[derive(Clone, Debug)]
pub struct Upcall<'a> {
    /// Why the packet was sent up.
    pub upcall_type: UpcallType,
    /// Datapath that the upcall came from.
    pub datapath: DatapathId,
    /// Port by the flow key.
    pub in_port: InPort,
    /// The kernel's side, when it was found.
    pub kernel: Option<KernelSide>,
    /// The event by which the handler thread read the upcall.
    pub recv: EventHead,
    /// The packet as the handler thread read it.
    pub packet: Packet<'a>,
    /// The flow key that came with it.
    pub key: FlowKeyBytes<'a>,
    /// End of the translation: the next member's `recv_upcall`, or the batch's first operation.
    pub translated: Option<EventHead>,
    /// The flow that was put for this upcall.
    pub flow_put: Option<EventHead>,
    /// The execute of its packet.
    pub flow_execute: Option<EventHead>,
    /// The kernel starting to execute its packet.
    pub packet_execute: Option<EventHead>,
    /// Place in the batch in which the thread handled it.
    pub batch: BatchPlace,
    /// Events that an upcall like this has, and this one lacks.
    pub missing: Missing,
}

impl Upcall<'_> {
    /// The port that the packet came in by: the kernel's, else the flow key's.
    #[must_use]
    pub fn port(&self) -> Option<PortNo> {
        match (&self.kernel, self.in_port) {
            (Some(kernel), _) => Some(kernel.port),
            (None, InPort::Port(port)) => Some(port),
            (None, InPort::Any) => None,
        }
    }

    /// The event of this kind, if the upcall has it.
    #[must_use]
    pub fn event(&self, kind: EventKind) -> Option<&EventHead> {
        match kind {
            EventKind::DpUpcall => self.kernel.as_ref().map(|k| &k.head),
            EventKind::RecvUpcall => Some(&self.recv),
            EventKind::OpFlowPut => self.flow_put.as_ref(),
            EventKind::OpFlowExecute => self.flow_execute.as_ref(),
            EventKind::OvsPktExec => self.packet_execute.as_ref(),
        }
    }

    /// The same without the bytes of packet and key, so that it can be kept.
    #[must_use]
    pub fn without_bytes(&self) -> Upcall<'static> {
        Upcall {
            upcall_type: self.upcall_type,
            datapath: self.datapath,
            in_port: self.in_port,
            kernel: self.kernel,
            recv: self.recv,
            packet: Packet { len: self.packet.len, bytes: &[] },
            key: FlowKeyBytes { len: self.key.len, bytes: &[] },
            translated: self.translated,
            flow_put: self.flow_put,
            flow_execute: self.flow_execute,
            packet_execute: self.packet_execute,
            batch: self.batch,
            missing: self.missing,
        }
    }

    /// Whether nothing that should be there is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The first event that was found.
    #[must_use]
    pub fn first(&self) -> &EventHead {
        self.kernel.as_ref().map_or(&self.recv, |kernel| &kernel.head)
    }

    /// The event with the latest time.
    #[must_use]
    pub fn last(&self) -> &EventHead {
        EventKind::ALL
            .into_iter()
            .filter_map(|kind| self.event(kind))
            .max_by_key(|head| head.ts)
            .unwrap_or(&self.recv)
    }
}

/// The kernel's side of an upcall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSide {
    /// The `dp_upcall` event.
    pub head: EventHead,
    /// Port that the packet came in by.
    pub port: PortNo,
    /// Length in bytes of the packet at the tracepoint; differs from the length that was delivered
    /// for an accelerated VLAN tag (4 less) and for a GSO super-packet.
    pub packet_len: u32,
    /// How it was found to belong to the `recv_upcall`.
    pub matched: MatchMethod,
    /// Which segment of a GSO super-packet the upcall is: 0 for the first one delivered.
    pub gso_segment: Option<u32>,
}

/// An upcall that the kernel could not deliver: `ovs_dp_upcall` of net/openvswitch/datapath.c
/// returned an error, as where the handler thread's socket is full.
#[derive(Clone, Debug)]
pub struct FailedUpcall<'a> {
    /// Why the packet was to be sent up.
    pub upcall_type: UpcallType,
    /// Datapath that the upcall came from.
    pub datapath: DatapathId,
    /// Port that the packet came in by.
    pub port: PortNo,
    /// The `dp_upcall` event.
    pub head: EventHead,
    /// The packet at the tracepoint.
    pub packet: Packet<'a>,
    /// When the kernel gave up.
    pub returned: MonotonicNs,
    /// Why: an error number of the kernel, positive.
    pub errno: i32,
}

impl FailedUpcall<'_> {
    /// The same without the bytes of the packet, so that it can be kept.
    #[must_use]
    pub fn without_bytes(&self) -> FailedUpcall<'static> {
        FailedUpcall {
            upcall_type: self.upcall_type,
            datapath: self.datapath,
            port: self.port,
            head: self.head,
            packet: Packet { len: self.packet.len, bytes: &[] },
            returned: self.returned,
            errno: self.errno,
        }
    }

    /// Nanoseconds until the kernel gave up.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.returned.0.saturating_sub(self.head.ts.0)
    }
}

/// How a `dp_upcall` was found to belong to a `recv_upcall`, most certain first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchMethod {
    /// By identity of the kernel's buffer (live capture).
    Exact,
    /// All bytes captured by both are the same, and the whole packet was captured.
    Bytes,
    /// As `Bytes`, except for the L4 checksum that the kernel completed in between.
    Checksum,
    /// As `Checksum`, with an accelerated VLAN tag that was pushed into the delivered packet.
    Vlan,
    /// The bytes captured by both agree, but one side captured only a part of the packet: the
    /// linear part of the skb, the capture limit, or the headers of a GSO super-packet.
    Prefix,
}

impl MatchMethod {
    /// The name used in JSON and attributes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Bytes => "bytes",
            Self::Checksum => "checksum",
            Self::Vlan => "vlan",
            Self::Prefix => "prefix",
        }
    }
}

impl fmt::Display for MatchMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Place of an upcall in its batch: a thread's run of `recv_upcall`s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchPlace {
    /// Upcalls in the batch, at least 1.
    pub size: u32,
    /// 0-based position in the batch.
    pub index: u32,
}

/// Why an event of an upcall is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingReason {
    /// No event that fits was seen.
    NotSeen,
    /// Events that would fit were seen, but which one is the right one cannot be told.
    Ambiguous,
    /// The recording or capture ended first.
    Ended,
    /// It had not come when the upcall's time was up.
    TimedOut,
}

impl MissingReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NotSeen, Self::Ambiguous, Self::Ended, Self::TimedOut];

    /// The name used in JSON and attributes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotSeen => "not_seen",
            Self::Ambiguous => "ambiguous",
            Self::Ended => "ended",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Events that an upcall lacks, each with the reason.
///
/// A flow put is missing only when it is known that there was one: an upcall whose flow is already
/// installed, or must not be, has none. An upcall without execute is complete too when it is known
/// that its packet was dropped: a put was seen for it. One of type action needs neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing([Option<MissingReason>; EventKind::ALL.len()]);

impl Missing {
    /// Notes that the event of this kind is missing.
    pub fn set(&mut self, kind: EventKind, reason: MissingReason) {
        self.0[kind.index()] = Some(reason);
    }

    /// Why the event of this kind is missing; `None` if it is not.
    #[must_use]
    pub fn reason(&self, kind: EventKind) -> Option<MissingReason> {
        self.0[kind.index()]
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// What is missing, in the order of [`EventKind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (EventKind, MissingReason)> + '_ {
        EventKind::ALL.into_iter().filter_map(|kind| Some((kind, self.0[kind.index()]?)))
    }
}

/// Why an event belongs to no upcall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnmatchedReason {
    /// A `dp_upcall` that no handler thread read within the timeout: dropped at a full socket, or
    /// its `recv_upcall` was lost.
    NeverReceived,
    /// A `dp_upcall` that still waited when the recording or capture ended.
    Ended,
    /// More events waited than memory allows; the oldest gave way.
    Evicted,
    /// An operation whose `recv_upcall` was not seen.
    NoUpcall,
    /// It fits more than one upcall, and which one cannot be told.
    Ambiguous,
    /// A flow put by a revalidator thread: it belongs to no upcall.
    Revalidator,
    /// A `dp_upcall` that the kernel could not deliver, as it says itself.
    NotDelivered,
}

impl UnmatchedReason {
    /// The name used in JSON and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverReceived => "never_received",
            Self::Ended => "ended",
            Self::Evicted => "evicted",
            Self::NoUpcall => "no_upcall",
            Self::Ambiguous => "ambiguous",
            Self::Revalidator => "revalidator",
            Self::NotDelivered => "not_delivered",
        }
    }
}

/// An event that belongs to no upcall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// Its kind.
    pub kind: EventKind,
    /// The event.
    pub head: EventHead,
    /// Why.
    pub reason: UnmatchedReason,
}

/// Takes what the correlator finds. The references are valid during the call only, so that the
/// correlator can reuse its buffers.
pub trait Sink {
    /// An upcall whose events are all there, or whose time is up.
    fn upcall(&mut self, upcall: &Upcall<'_>);
    /// An upcall that the kernel could not deliver.
    fn failed(&mut self, failed: &FailedUpcall<'_>);
    /// An event that belongs to no upcall.
    fn unmatched(&mut self, unmatched: &Unmatched);
}
