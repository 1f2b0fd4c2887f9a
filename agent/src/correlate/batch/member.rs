//! One upcall of a batch: what was read, what was joined to it, and what it lacks.

use crate::event::{EventHead, EventKind, FlowKeyBytes, InPort, Packet, UpcallType};
use crate::ports::DatapathId;
use crate::upcall::{
    BatchPlace, KernelSide, Missing, MissingReason, Sink, Unmatched, UnmatchedReason, Upcall,
};

/// The `recv_upcall` side of an upcall while its batch is being put together. Its buffers are
/// reused by later ones.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) recv: EventHead,
    pub(super) datapath: DatapathId,
    pub(super) upcall_type: UpcallType,
    pub(super) in_port: Option<InPort>,
    pub(super) packet_len: u32,
    pub(super) packet: Vec<u8>,
    pub(super) key_len: u32,
    pub(super) key: Vec<u8>,
    pub(super) kernel: KernelJoin,
    pub(super) flow_put: Option<EventHead>,
    pub(super) flow_execute: Option<EventHead>,
    pub(super) packet_execute: Option<EventHead>,
    /// The kernel began the chunk later than it took to handle the batch until then.
    pub(super) is_late: bool,
    /// Events that are known to be missing, and why.
    pub(super) missing: Missing,
}

/// What is known of an upcall's `dp_upcall`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::correlate) enum KernelJoin {
    Joined(KernelSide),
    Ambiguous,
    #[default]
    NotSeen,
}

/// Which of a batch's joins are certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::correlate) enum Trust {
    /// All of them.
    All,
    /// All but packet executes that came late: a gap in the events may have swallowed the chunk's
    /// own, and those of a later batch stand in their place.
    Prompt,
    /// Those by the bytes of the packet.
    Packets,
    /// None: the same packet may have come twice.
    Nothing,
}

/// Why a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::correlate) enum Close {
    /// The thread went on to its next batch.
    Next,
    /// The thread fell silent.
    TimedOut,
    /// The recording or capture ended.
    Ended,
}

impl Member {
    pub(super) fn is_miss(&self) -> bool {
        self.upcall_type == UpcallType::Miss
    }

    /// Gives up the joins that are not certain.
    pub(super) fn give_up_operations(&mut self, trust: Trust, sink: &mut impl Sink) {
        let by_order = matches!(trust, Trust::Packets | Trust::Nothing);
        let by_packet = trust == Trust::Nothing;
        let late = by_order || (trust == Trust::Prompt && self.is_late);
        for (kind, join, give_up) in [
            (EventKind::OpFlowPut, &mut self.flow_put, by_order),
            (EventKind::OpFlowExecute, &mut self.flow_execute, by_packet),
            (EventKind::OvsPktExec, &mut self.packet_execute, late),
        ] {
            if let Some(head) = join.take_if(|_| give_up) {
                let reason = UnmatchedReason::Ambiguous;
                sink.unmatched(&Unmatched { kind, head, reason });
                self.missing.set(kind, MissingReason::Ambiguous);
            }
        }
        if by_order && self.is_miss() {
            // Whether there was a put at all cannot be told any more.
            self.missing.set(EventKind::OpFlowPut, MissingReason::Ambiguous);
        }
    }

    /// As it is told, with what the batch knows of it.
    pub(super) fn upcall(
        &self,
        translated: Option<EventHead>,
        batch: BatchPlace,
        close: Close,
    ) -> Upcall<'_> {
        Upcall {
            upcall_type: self.upcall_type,
            datapath: self.datapath,
            in_port: self.in_port.unwrap_or(InPort::Any),
            kernel: match self.kernel {
                KernelJoin::Joined(side) => Some(side),
                KernelJoin::Ambiguous | KernelJoin::NotSeen => None,
            },
            recv: self.recv,
            packet: Packet { len: self.packet_len, bytes: &self.packet },
            key: FlowKeyBytes { len: self.key_len, bytes: &self.key },
            translated,
            flow_put: self.flow_put,
            flow_execute: self.flow_execute,
            packet_execute: self.packet_execute,
            batch,
            missing: self.missing(close),
        }
    }

    fn missing(&self, close: Close) -> Missing {
        let mut missing = self.missing;
        match self.kernel {
            KernelJoin::Joined(_) => {}
            KernelJoin::Ambiguous => missing.set(EventKind::DpUpcall, MissingReason::Ambiguous),
            KernelJoin::NotSeen => missing.set(EventKind::DpUpcall, MissingReason::NotSeen),
        }
        let absent = match close {
            Close::Next => MissingReason::NotSeen,
            Close::TimedOut => MissingReason::TimedOut,
            Close::Ended => MissingReason::Ended,
        };
        let unexplained = |kind| missing.reason(kind).is_none();
        if self.flow_execute.is_some() {
            if self.packet_execute.is_none() && unexplained(EventKind::OvsPktExec) {
                missing.set(EventKind::OvsPktExec, absent);
            }
        } else if self.is_miss() && self.flow_put.is_none() && unexplained(EventKind::OpFlowExecute)
        {
            missing.set(EventKind::OpFlowExecute, absent);
        }
        missing
    }
}
