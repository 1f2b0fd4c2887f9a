//! Which `dp_upcall` each `recv_upcall` comes from, by what identifies the packet.

use std::collections::{HashMap, VecDeque};

use upspan::ports::PortNo;

use super::events::Cause;
use super::ident::{Ident, TcpIdent};

/// What a packet's ways up have in common: they differ in cause and port.
type Way = (Cause, PortNo);

/// `dp_upcall`s that were not delivered yet.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    whole: HashMap<(Way, Ident), VecDeque<u64>>,
    tcp: HashMap<(Way, Vec<u8>), Vec<Waiting>>,
}

/// A TCP packet, of which some segments may have been delivered.
#[derive(Debug)]
struct Waiting {
    ordinal: u64,
    packet: TcpIdent,
    delivered: u32,
    segments: u16,
}

impl Waiting {
    /// Whether this is the packet itself, or the next of its segments.
    fn continues_with(&self, segment: &TcpIdent) -> bool {
        let packet = &self.packet;
        let next_id = packet.ip_id.map(|id| id.wrapping_add(self.segments));
        let left = packet.payload - self.delivered;
        segment.seq == packet.seq.wrapping_add(self.delivered)
            && segment.payload <= left
            && segment.header == packet.header
            && segment.ip_id == next_id
            && (segment.payload != left || segment.flags == packet.flags)
            && (segment.payload > 0 || packet.payload == 0)
    }
}

impl Kernel {
    pub(super) fn dp_upcall(&mut self, ordinal: u64, way: Way, packet: &Ident) {
        match packet {
            Ident::Tcp(packet) => {
                let waiting =
                    Waiting { ordinal, packet: packet.clone(), delivered: 0, segments: 0 };
                self.tcp.entry((way, packet.flow.clone())).or_default().push(waiting);
            }
            whole => {
                self.whole.entry((way, whole.clone())).or_default().push_back(ordinal);
            }
        }
    }

    /// The ordinal of the `dp_upcall`: of equal ones, the earliest.
    pub(super) fn recv_upcall(&mut self, way: Way, packet: &Ident) -> Option<u64> {
        let Ident::Tcp(segment) = packet else {
            return self.whole.get_mut(&(way, packet.clone()))?.pop_front();
        };
        let all = self.tcp.get_mut(&(way, segment.flow.clone()))?;
        let at = all.iter().position(|waiting| waiting.continues_with(segment))?;
        let waiting = &mut all[at];
        waiting.delivered += segment.payload;
        waiting.segments = waiting.segments.wrapping_add(1);
        let ordinal = waiting.ordinal;
        if waiting.delivered == waiting.packet.payload {
            all.remove(at);
        }
        Some(ordinal)
    }

    /// Ordinals of those that were not delivered, or not wholly.
    pub(super) fn left(self) -> Vec<u64> {
        let whole = self.whole.into_values().flatten();
        let tcp = self.tcp.into_values().flatten().map(|waiting| waiting.ordinal);
        let mut left: Vec<u64> = whole.chain(tcp).collect();
        left.sort_unstable();
        left
    }
}
