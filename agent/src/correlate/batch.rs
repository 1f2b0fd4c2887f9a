//! One handler thread's batch: its upcalls, and the operations that followed them.
//!
//! vswitchd reads up to 64 upcalls, then encodes their operations in order, `put? execute?` for
//! each, and sends them to the kernel in chunks of at most 50 operations; the kernel executes the
//! packets of a chunk in order, in the same thread, before the thread goes on (`recv_upcalls`,
//! `handle_upcalls` in ofproto/ofproto-dpif-upcall.c; `dpif_netlink_operate_chunks` in
//! lib/dpif-netlink.c of Open vSwitch).

mod member;

use std::ops::Range;

use self::member::Member;
pub(super) use self::member::{Close, KernelJoin, Trust};
use super::waiting::Origin;
use crate::event::{EventHead, EventKind, FlowKeyBytes, InPort, Ordinal, Packet};
use crate::upcall::{BatchPlace, Missing, MissingReason, Sink, Unmatched, UnmatchedReason};

/// `UPCALL_MAX_BATCH` of ofproto/ofproto-dpif-upcall.c.
const UPCALL_MAX_BATCH: usize = 64;
/// Most operations that wait for the kernel: more than a batch can have.
const MAX_OPERATIONS: usize = 4 * UPCALL_MAX_BATCH;

/// How far a batch's operations can be trusted to belong to its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// Everything fits.
    #[default]
    None,
    /// Something is unusual, which is evidence of a loss where events are known to be lost.
    Unusual,
    /// Events are certainly missing.
    Lossy,
}

/// What a batch lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remaining {
    /// Nothing: all members were executed.
    Nothing,
    /// The last members have a flow put and no execute: their flows drop packets, or it is to come.
    PerhapsExecutes,
    /// Operations, or the kernel's side of them.
    Operations,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Batch {
    members: Vec<Member>,
    /// Members in use; the rest of `members` are spare buffers.
    len: usize,
    /// First member that no operation has gone past.
    cursor: usize,
    first_operation: Option<EventHead>,
    /// Puts since the last execute: which members they belong to, the next execute tells.
    puts: Vec<EventHead>,
    /// Executes of the open chunk, by member.
    executes: Vec<Option<usize>>,
    /// Packet executes of the open chunk.
    packet_executes: Vec<EventHead>,
    /// The latest execute.
    last_execute: EventHead,
    doubt: Doubt,
    /// The latest event.
    last: Ordinal,
    /// Doubt that was not taken note of yet.
    evidence: Option<(Ordinal, Doubt)>,
    close: Option<Close>,
}

impl Batch {
    /// Empties it for reuse.
    pub(super) fn reset(&mut self) {
        self.len = 0;
        self.cursor = 0;
        self.first_operation = None;
        self.puts.clear();
        self.executes.clear();
        self.packet_executes.clear();
        self.doubt = Doubt::None;
        self.evidence = None;
        self.close = None;
    }

    /// Whether the next `recv_upcall` belongs to this batch. A run longer than a batch can be lost
    /// what parted two batches, unless it is of upcalls that leave no operations.
    pub(super) fn takes_another(&mut self) -> bool {
        if self.first_operation.is_some() {
            return false;
        }
        if self.len == UPCALL_MAX_BATCH {
            if self.leading_actions() == 0 {
                self.add_doubt(Doubt::Lossy);
            }
            return false;
        }
        true
    }

    /// Moves to the next batch, which is empty, what must be of it. Nothing parts batches of actions
    /// without operations from the one after them. Misses have operations: none of them comes before
    /// the last batch of a run.
    pub(super) fn carry_over(&mut self, next: &mut Self) {
        let own = self.leading_actions();
        if self.first_operation.is_some() || own == 0 {
            return;
        }
        let carried = own..self.len;
        next.len = carried.len();
        next.members.splice(0..0, self.members.drain(carried));
        next.last = self.last;
        self.len = own;
    }

    /// How many members there are before the first miss.
    fn leading_actions(&self) -> usize {
        let members = &self.members[..self.len];
        members.iter().position(Member::is_miss).unwrap_or(self.len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// Casts doubt on the batch, for what its latest event shows.
    pub(super) fn add_doubt(&mut self, doubt: Doubt) {
        self.doubt = self.doubt.max(doubt);
        self.evidence = Some((self.last, self.doubt));
    }

    /// Where doubt arose since the last call.
    pub(super) fn take_evidence(&mut self) -> Option<(Ordinal, Doubt)> {
        self.evidence.take()
    }

    /// First and last event of the batch.
    pub(super) fn span(&self) -> (Ordinal, Ordinal) {
        let first = self.members[..self.len].first().map_or(self.last, |first| first.recv.ordinal);
        (first, self.last)
    }

    /// A `recv_upcall`.
    pub(super) fn recv(
        &mut self,
        head: EventHead,
        origin: Origin,
        in_port: InPort,
        packet: &Packet<'_>,
        key: &FlowKeyBytes<'_>,
        kernel: KernelJoin,
    ) {
        if self.len == self.members.len() {
            self.members.push(Member::default());
        }
        self.last = head.ordinal;
        let member = &mut self.members[self.len];
        self.len += 1;
        member.recv = head;
        member.datapath = origin.datapath;
        member.upcall_type = origin.upcall_type;
        member.in_port = Some(in_port);
        member.packet_len = packet.len;
        member.packet.clear();
        member.packet.extend_from_slice(packet.bytes);
        member.key_len = key.len;
        member.key.clear();
        member.key.extend_from_slice(key.bytes);
        member.kernel = kernel;
        member.flow_put = None;
        member.flow_execute = None;
        member.packet_execute = None;
        member.is_late = false;
        member.missing = Missing::default();
    }

    /// An `op_flow_put`.
    pub(super) fn flow_put(&mut self, head: EventHead, sink: &mut impl Sink) {
        self.operation(head, sink);
        if self.puts.len() == MAX_OPERATIONS {
            self.give_up_puts(UnmatchedReason::Evicted, sink);
        }
        self.puts.push(head);
    }

    /// An `op_flow_execute`.
    pub(super) fn flow_execute(
        &mut self,
        head: EventHead,
        packet: &Packet<'_>,
        lossy: bool,
        sink: &mut impl Sink,
    ) {
        self.operation(head, sink);
        self.last_execute = head;
        let found = self.find_member(packet, lossy);
        // Flows are put for misses only: before an action's execute, it is another member's.
        let own_put = match found {
            Ok(place) if !self.members[place].is_miss() => None,
            Ok(_) | Err(_) => self.puts.pop(),
        };
        let place = match found {
            Ok(place) => {
                self.assign_puts(place, sink);
                self.cursor = place + 1;
                let member = &mut self.members[place];
                member.flow_put = own_put;
                member.flow_execute = Some(head);
                Some(place)
            }
            Err(reason) => {
                self.add_doubt(Doubt::Unusual);
                sink.unmatched(&Unmatched { kind: EventKind::OpFlowExecute, head, reason });
                if let Some(head) = own_put {
                    sink.unmatched(&Unmatched { kind: EventKind::OpFlowPut, head, reason });
                }
                None
            }
        };
        if self.executes.len() == MAX_OPERATIONS {
            self.close_chunk(Close::Next, sink);
        }
        self.executes.push(place);
    }

    /// An `ovs_pkt_exec`.
    pub(super) fn packet_execute(&mut self, head: EventHead, sink: &mut impl Sink) {
        self.first_operation.get_or_insert(head);
        if self.executes.len() == self.packet_executes.len() {
            let reason = UnmatchedReason::NoUpcall;
            sink.unmatched(&Unmatched { kind: EventKind::OvsPktExec, head, reason });
            if !self.executes.is_empty() {
                self.give_up_chunk(sink);
            }
            if self.len > 0 {
                self.add_doubt(Doubt::Lossy);
            }
            return;
        }
        self.last = head.ordinal;
        self.packet_executes.push(head);
    }

    /// The member whose packet this is: the first one that operations have not gone past. After a
    /// put, a miss is the likelier one.
    fn find_member(&self, packet: &Packet<'_>, lossy: bool) -> Result<usize, UnmatchedReason> {
        let is_it = |member: &Member| {
            member.packet_len == packet.len && {
                let common = member.packet.len().min(packet.bytes.len());
                member.packet[..common] == packet.bytes[..common]
            }
        };
        let rest = &self.members[self.cursor..self.len];
        let is_likely = |member: &Member| member.is_miss() && is_it(member);
        let likely = rest.iter().position(is_likely).filter(|_| !self.puts.is_empty());
        let place =
            likely.or_else(|| rest.iter().position(is_it)).ok_or(UnmatchedReason::NoUpcall)?;
        // With skipped members that look the same, it may be a later one's whose own was lost.
        if lossy && place > 0 && rest[place + 1..].iter().any(is_it) {
            return Err(UnmatchedReason::Ambiguous);
        }
        Ok(self.cursor + place)
    }

    fn operation(&mut self, head: EventHead, sink: &mut impl Sink) {
        self.first_operation.get_or_insert(head);
        if !self.packet_executes.is_empty() {
            self.close_chunk(Close::Next, sink);
        }
        self.last = head.ordinal;
    }

    /// Puts before the one that belongs to the execute of member `place` belong to the members
    /// between the last execute and that one, which have no execute: their flows drop packets.
    fn assign_puts(&mut self, place: usize, sink: &mut impl Sink) {
        let between = self.cursor..place;
        let misses = self.misses(between.clone());
        if misses > 0 {
            self.add_doubt(Doubt::Unusual);
        }
        if self.puts.len() == misses {
            self.give_puts(between);
        } else {
            self.give_up_puts(UnmatchedReason::Ambiguous, sink);
        }
    }

    /// How many of these members must have operations.
    fn misses(&self, members: Range<usize>) -> usize {
        self.members[members].iter().filter(|member| member.is_miss()).count()
    }

    /// Gives the puts to these members in turn.
    fn give_puts(&mut self, members: Range<usize>) {
        let misses = self.members[members].iter_mut().filter(|member| member.is_miss());
        for (member, put) in misses.zip(self.puts.drain(..)) {
            member.flow_put = Some(put);
        }
    }

    fn give_up_puts(&mut self, reason: UnmatchedReason, sink: &mut impl Sink) {
        if !self.puts.is_empty() {
            self.add_doubt(Doubt::Unusual);
        }
        for head in self.puts.drain(..) {
            sink.unmatched(&Unmatched { kind: EventKind::OpFlowPut, head, reason });
        }
    }

    /// The thread went on: the kernel has executed what the chunk holds, in order. Where the
    /// numbers differ, events were lost, and which ones cannot be told.
    fn close_chunk(&mut self, close: Close, sink: &mut impl Sink) {
        let (sent, done) = (self.executes.len(), self.packet_executes.len());
        let is_late = self.is_late();
        let cut = close == Close::Ended && self.doubt != Doubt::Lossy;
        if sent > done {
            self.add_doubt(Doubt::Unusual);
        }
        if sent == done || (cut && done < sent) {
            for (place, head) in self.executes.iter().zip(&self.packet_executes) {
                match place {
                    Some(place) => {
                        self.members[*place].packet_execute = Some(*head);
                        self.members[*place].is_late = is_late;
                    }
                    None => sink.unmatched(&Unmatched {
                        kind: EventKind::OvsPktExec,
                        head: *head,
                        reason: UnmatchedReason::NoUpcall,
                    }),
                }
            }
            let reason =
                if close == Close::Ended { MissingReason::Ended } else { MissingReason::NotSeen };
            for place in self.executes.drain(..).skip(done).flatten() {
                self.members[place].missing.set(EventKind::OvsPktExec, reason);
            }
            self.packet_executes.clear();
        } else if done == 0 && close == Close::TimedOut {
            for place in self.executes.drain(..).flatten() {
                self.members[place].missing.set(EventKind::OvsPktExec, MissingReason::TimedOut);
            }
        } else {
            self.give_up_chunk(sink);
        }
    }

    /// Whether the kernel began to execute the open chunk later than it took the thread to get from
    /// its first upcall to the chunk's last execute: sending is the quicker part.
    fn is_late(&self) -> bool {
        let (Some(first), Some(begun)) =
            (self.members[..self.len].first(), self.packet_executes.first())
        else {
            return false;
        };
        let handling = self.last_execute.ts.since(first.recv.ts);
        begun.ts.since(self.last_execute.ts) > handling
    }

    fn give_up_chunk(&mut self, sink: &mut impl Sink) {
        self.add_doubt(Doubt::Lossy);
        let reason = if self.packet_executes.is_empty() {
            MissingReason::NotSeen
        } else {
            MissingReason::Ambiguous
        };
        for place in self.executes.drain(..).flatten() {
            self.members[place].missing.set(EventKind::OvsPktExec, reason);
        }
        for head in self.packet_executes.drain(..) {
            let reason = UnmatchedReason::Ambiguous;
            sink.unmatched(&Unmatched { kind: EventKind::OvsPktExec, head, reason });
        }
    }

    /// What is to be expected yet.
    pub(super) fn remaining(&self) -> Remaining {
        let open = self.executes.len() > self.packet_executes.len();
        match (open, self.misses(self.cursor..self.len), self.puts.len()) {
            (false, 0, 0) => Remaining::Nothing,
            (false, misses, puts) if misses == puts => Remaining::PerhapsExecutes,
            _ => Remaining::Operations,
        }
    }

    /// No more events come.
    pub(super) fn close(&mut self, close: Close, sink: &mut impl Sink) {
        if self.close.is_some() {
            return;
        }
        self.close_chunk(close, sink);
        let rest = self.cursor..self.len;
        let misses = self.misses(rest.clone());
        // A member without any operation at the end of a capture may have had some after it.
        if self.puts.len() == misses || (close == Close::Ended && self.puts.len() <= misses) {
            self.give_puts(rest);
        } else {
            let reason = match misses {
                0 => UnmatchedReason::NoUpcall,
                _ => UnmatchedReason::Ambiguous,
            };
            self.give_up_puts(reason, sink);
        }
        if misses > 0 {
            self.add_doubt(Doubt::Unusual);
        }
        self.close = Some(close);
    }

    /// Hands everything on, but for the joins that are not to be trusted: they are given up.
    pub(super) fn emit(&mut self, trust: Trust, sink: &mut impl Sink) {
        let close = self.close.unwrap_or(Close::Ended);
        let size = u32::try_from(self.len).unwrap_or(u32::MAX);
        let mut goes_on = false;
        for place in 0..self.len {
            let next = self.members[..self.len].get(place + 1).map(|next| next.recv);
            let member = &mut self.members[place];
            // After an action without operations, the batch may have been over.
            goes_on |= member.is_miss() || member.flow_execute.is_some();
            member.give_up_operations(trust, sink);
            let batch = BatchPlace { size, index: u32::try_from(place).unwrap_or(u32::MAX) };
            let translated = next
                .or(self.first_operation)
                .filter(|_| goes_on && matches!(trust, Trust::All | Trust::Prompt));
            sink.upcall(&member.upcall(translated, batch, close));
        }
        self.len = 0;
    }
}
