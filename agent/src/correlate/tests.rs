//! The correlator as a whole: known scenarios, and properties of arbitrary input.

mod packets;
mod properties;
mod scenarios;

use std::collections::BTreeMap;

use super::{Config, Correlator};
use crate::event::{
    Comm, Cpu, Event, EventBody, EventHead, EventKind, FlowKeyBytes, InPort, MonotonicNs, Ordinal,
    Packet, Tid, UpcallType,
};
use crate::ports::{DatapathId, PortNo, Ports};
use crate::upcall::{FailedUpcall, Sink, Unmatched, UnmatchedReason, Upcall};

/// An event that owns its bytes.
#[derive(Clone, Debug)]
struct Owned {
    kind: EventKind,
    ts: u64,
    tid: u32,
    upcall_type: UpcallType,
    datapath: DatapathId,
    comm: &'static str,
    in_port: InPort,
    len: u32,
    packet: Vec<u8>,
    key: Vec<u8>,
}

impl Owned {
    fn new(kind: EventKind, ts: u64, tid: u32) -> Self {
        let in_port = InPort::Port(PortNo(1));
        let datapath = DatapathId::default();
        Self {
            kind,
            ts,
            tid,
            upcall_type: UpcallType::Miss,
            datapath,
            comm: "handler1",
            in_port,
            len: 0,
            packet: vec![],
            key: vec![],
        }
    }

    fn packet(mut self, bytes: &[u8]) -> Self {
        self.packet = bytes.to_vec();
        self.len = u32::try_from(bytes.len()).unwrap();
        self
    }

    fn event(&self, ordinal: usize) -> Event<'_> {
        let datapath = self.datapath;
        let packet = Packet { len: self.len, bytes: &self.packet };
        let key = FlowKeyBytes { len: u32::try_from(self.key.len()).unwrap(), bytes: &self.key };
        let body = match self.kind {
            EventKind::DpUpcall => EventBody::DpUpcall {
                upcall_type: self.upcall_type,
                datapath,
                port: match self.in_port {
                    InPort::Port(port) => port,
                    InPort::Any => PortNo(0),
                },
                packet,
                linear_len: 0,
            },
            EventKind::RecvUpcall => {
                let (upcall_type, in_port) = (self.upcall_type, self.in_port);
                EventBody::RecvUpcall { upcall_type, datapath, in_port, packet, key }
            }
            EventKind::OpFlowPut => EventBody::FlowPut,
            EventKind::OpFlowExecute => EventBody::FlowExecute { packet },
            EventKind::OvsPktExec => EventBody::PacketExecute,
        };
        let head = EventHead {
            ordinal: Ordinal(u64::try_from(ordinal).unwrap()),
            ts: MonotonicNs(self.ts),
            cpu: Cpu(0),
            tid: Tid(self.tid),
            comm: Comm::from_bytes(self.comm.as_bytes()),
        };
        Event { head, body }
    }
}

/// The ordinals of an upcall's events, by kind.
type Set = BTreeMap<EventKind, u64>;

#[derive(Debug, Default)]
struct Collected {
    sets: Vec<Set>,
    gso: Vec<bool>,
    complete: Vec<bool>,
    unmatched: Vec<(EventKind, u64, UnmatchedReason)>,
}

impl Sink for Collected {
    fn upcall(&mut self, upcall: &Upcall<'_>) {
        let ordinal = |kind| Some((kind, upcall.event(kind)?.ordinal.0));
        self.sets.push(EventKind::ALL.into_iter().filter_map(ordinal).collect());
        self.complete.push(upcall.is_complete());
        self.gso.push(upcall.kernel.is_some_and(|kernel| kernel.gso_segment.is_some()));
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>) {
        let reason = UnmatchedReason::NotDelivered;
        self.unmatched.push((EventKind::DpUpcall, failed.head.ordinal.0, reason));
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        self.unmatched.push((unmatched.kind, unmatched.head.ordinal.0, unmatched.reason));
    }
}

impl Collected {
    fn sorted(mut self) -> Vec<Set> {
        self.sets.sort_by_key(|set| set[&EventKind::RecvUpcall]);
        self.sets
    }
}

fn correlate(config: Config, events: &[Owned]) -> Collected {
    let mut correlator = Correlator::new(config);
    let mut collected = Collected::default();
    for (ordinal, event) in events.iter().enumerate() {
        correlator.push(&event.event(ordinal), &mut collected);
    }
    correlator.finish(&mut collected);
    collected
}
