//! The `dp_upcall`s that wait for their `recv_upcall`, found by content in constant time.
//!
//! Every one stands in the queue of its content twice: once with its port, once with any port (for
//! tunnel keys, which name none), and once in the queue of all by age. Queues are doubly linked
//! through the slots, so that leaving one costs no search.

use hashbrown::HashMap;

use super::gso::GsoIndex;
use super::packet::{ChecksumFields, PUSHED_TAG_LEN, TcpStretch, without_vlan_tag};
use crate::event::{EventHead, InPort, MonotonicNs, Packet};
use crate::ports::{DatapathId, PortNo};
use crate::upcall::{KernelSide, MatchMethod};

/// Of packets that are alike but for their checksum, this many are compared to prefer an equal one.
const MAX_COMPARED: usize = 64;

/// Where a `dp_upcall` waits.
pub(super) type Slot = u32;
const NONE: Slot = Slot::MAX;

/// A `dp_upcall` that waits.
#[derive(Debug)]
struct Waiting {
    head: EventHead,
    datapath: DatapathId,
    port: PortNo,
    packet_len: u32,
    bytes: Vec<u8>,
    index_len: usize,
    gso: Option<TcpStretch>,
    /// Segments delivered so far of a GSO super-packet, and their payload.
    segments: u32,
    segment_payload: u32,
    /// It was one of several that a `recv_upcall` may have meant.
    contested: bool,
    keys: [u64; 2],
    links: [Link; QUEUES],
}

#[derive(Clone, Copy, Debug)]
struct Link {
    prev: Slot,
    next: Slot,
}

const UNLINKED: Link = Link { prev: NONE, next: NONE };

/// The queues that a slot stands in.
const BY_PORT: usize = 0;
const ANY_PORT: usize = 1;
const BY_AGE: usize = 2;
const QUEUES: usize = 3;

#[derive(Clone, Copy, Debug)]
struct Queue {
    first: Slot,
    last: Slot,
}

impl Default for Queue {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

/// How many bytes the waiting packets of one datapath, port and length are indexed by: one or two
/// different numbers in practice, with the count of packets for each.
type IndexLens = Vec<(usize, u32)>;

/// What a search found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The earliest that fits.
    One(KernelSide),
    /// Several fit; none was taken.
    Several,
    /// None fits.
    Nothing,
}

/// A `dp_upcall` whose `recv_upcall` did not come.
#[derive(Debug)]
pub(super) struct Expired {
    pub(super) head: EventHead,
    /// It was one of several that a `recv_upcall` may have meant.
    pub(super) contested: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct WaitingUpcalls {
    slots: Vec<Waiting>,
    free: Vec<Slot>,
    by_content: HashMap<u64, Queue, foldhash::fast::FixedState>,
    by_age: Queue,
    index_lens: HashMap<(DatapathId, InPort, u32), IndexLens, foldhash::fast::FixedState>,
    gso: GsoIndex,
    capacity: usize,
    seed: foldhash::fast::FixedState,
    untagged: Vec<u8>,
}

impl WaitingUpcalls {
    /// Holds at most `capacity` of them.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_content: HashMap::default(),
            by_age: Queue::default(),
            index_lens: HashMap::default(),
            gso: GsoIndex::default(),
            capacity: capacity.max(1),
            seed: foldhash::fast::FixedState::default(),
            untagged: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds one; returns the oldest when it had to give way.
    pub(super) fn insert(
        &mut self,
        head: EventHead,
        datapath: DatapathId,
        port: PortNo,
        packet: &Packet<'_>,
    ) -> Option<Expired> {
        let evicted = if self.len() >= self.capacity { self.remove_oldest() } else { None };
        let checksums = ChecksumFields::find(packet.bytes);
        let index_len = index_len(packet);
        let content = checksums.hash(&packet.bytes[..index_len], &self.seed);
        let keys = [InPort::Port(port), InPort::Any]
            .map(|port| self.key(datapath, port, packet.len, index_len, content));
        let gso = GsoIndex::super_packet(TcpStretch::of(packet.bytes, packet.len, &self.seed));
        let slot = self.fill_slot(|bytes| Waiting {
            head,
            datapath,
            port,
            packet_len: packet.len,
            bytes: {
                bytes.clear();
                bytes.extend_from_slice(packet.bytes);
                std::mem::take(bytes)
            },
            index_len,
            gso,
            segments: 0,
            segment_payload: 0,
            contested: false,
            keys,
            links: [UNLINKED; QUEUES],
        });
        for queue in 0..QUEUES {
            self.append(queue, slot);
        }
        for port in [InPort::Port(port), InPort::Any] {
            let lens = self.index_lens.entry((datapath, port, packet.len)).or_default();
            match lens.iter_mut().find(|(len, _)| *len == index_len) {
                Some((_, count)) => *count += 1,
                None => lens.push((index_len, 1)),
            }
        }
        if let Some(stretch) = gso {
            self.gso.insert(&stretch, slot);
        }
        evicted
    }

    /// Finds the earliest one that this delivered packet was, and takes it out (but for a GSO
    /// super-packet that has more segments to come). With `unique_only` a packet that several may
    /// have been is not joined to any.
    pub(super) fn take(
        &mut self,
        datapath: DatapathId,
        in_port: InPort,
        packet: &Packet<'_>,
        unique_only: bool,
    ) -> Found {
        if self.len() == 0 {
            return Found::Nothing;
        }
        let found = self.take_whole(datapath, in_port, packet, false, unique_only);
        if found != Found::Nothing {
            return found;
        }
        let mut untagged = std::mem::take(&mut self.untagged);
        let mut found = Found::Nothing;
        if packet.len > PUSHED_TAG_LEN && without_vlan_tag(packet.bytes, &mut untagged) {
            let packet = Packet { len: packet.len - PUSHED_TAG_LEN, bytes: &untagged };
            found = self.take_whole(datapath, in_port, &packet, true, unique_only);
        }
        self.untagged = untagged;
        if found == Found::Nothing {
            found = self.take_segment(datapath, in_port, packet, unique_only);
        }
        found
    }

    /// A packet that was delivered whole.
    fn take_whole(
        &mut self,
        datapath: DatapathId,
        in_port: InPort,
        packet: &Packet<'_>,
        tag_pushed: bool,
        unique_only: bool,
    ) -> Found {
        let Some(lens) = self.index_lens.get(&(datapath, in_port, packet.len)) else {
            return Found::Nothing;
        };
        let checksums = ChecksumFields::find(packet.bytes);
        let queue = if in_port == InPort::Any { ANY_PORT } else { BY_PORT };
        let mut best: Option<(Slot, Agreement)> = None;
        let mut several = false;
        for &(index_len, _) in lens {
            let Some(indexed) = packet.bytes.get(..index_len) else { continue };
            let content = checksums.hash(indexed, &self.seed);
            let key = self.key(datapath, in_port, packet.len, index_len, content);
            let Some(candidates) = self.by_content.get(&key) else { continue };
            let mut slot = candidates.first;
            for _ in 0..MAX_COMPARED {
                if slot == NONE {
                    break;
                }
                let waiting = &self.slots[slot as usize];
                if let Some(agreement) = waiting.agreement(datapath, in_port, packet, &checksums) {
                    several |= best.is_some();
                    let better = match best {
                        None => true,
                        Some((other, held)) => {
                            let order = self.slots[other as usize].head.ordinal;
                            (agreement, waiting.head.ordinal) < (held, order)
                        }
                    };
                    if better {
                        best = Some((slot, agreement));
                    }
                    if if unique_only { several } else { agreement == Agreement::Equal } {
                        break;
                    }
                }
                slot = waiting.links[queue].next;
            }
        }
        let Some((slot, agreement)) = best else { return Found::Nothing };
        if unique_only && (several || self.slots[slot as usize].contested) {
            self.contest(slot, queue);
            return Found::Several;
        }
        let waiting = &self.slots[slot as usize];
        let whole = waiting.bytes.len() == waiting.packet_len as usize
            && packet.bytes.len() == packet.len as usize;
        let matched = match agreement {
            _ if tag_pushed => MatchMethod::Vlan,
            _ if !whole => MatchMethod::Prefix,
            Agreement::Equal => MatchMethod::Bytes,
            Agreement::ButChecksum => MatchMethod::Checksum,
        };
        let side = waiting.side(matched, None);
        self.remove(slot);
        Found::One(side)
    }

    /// A segment that the kernel cut from a GSO super-packet (`queue_gso_packets`): of the newest
    /// one of the connection that holds its stretch of the sequence space.
    fn take_segment(
        &mut self,
        datapath: DatapathId,
        in_port: InPort,
        packet: &Packet<'_>,
        unique_only: bool,
    ) -> Found {
        let Some(segment) = TcpStretch::of(packet.bytes, packet.len, &self.seed) else {
            return Found::Nothing;
        };
        let mut candidates = self.gso.candidates(&segment).filter(|&slot| {
            let waiting = &self.slots[slot as usize];
            waiting.datapath == datapath
                && (in_port == InPort::Any || in_port == InPort::Port(waiting.port))
                && waiting.packet_len > packet.len
                && waiting.gso.is_some_and(|whole| whole.holds(&segment))
        });
        let Some(slot) = candidates.next() else { return Found::Nothing };
        let several = unique_only && candidates.next().is_some();
        drop(candidates);
        if several {
            return Found::Several;
        }
        let waiting = &mut self.slots[slot as usize];
        let side = waiting.side(MatchMethod::Prefix, Some(waiting.segments));
        waiting.segments += 1;
        waiting.segment_payload += segment.payload;
        if waiting.gso.is_some_and(|whole| waiting.segment_payload >= whole.payload) {
            self.remove(slot);
        }
        Found::One(side)
    }

    /// Takes out the oldest one if its time is `over`. Super-packets of which segments were
    /// delivered go silently: they belong to upcalls.
    pub(super) fn pop_expired(&mut self, over: impl Fn(MonotonicNs) -> bool) -> Option<Expired> {
        while self.by_age.first != NONE && over(self.slots[self.by_age.first as usize].head.ts) {
            let expired = self.remove_oldest();
            if expired.is_some() {
                return expired;
            }
        }
        None
    }

    /// Takes out the oldest one.
    pub(super) fn pop_oldest(&mut self) -> Option<Expired> {
        self.pop_expired(|_| true)
    }

    fn remove_oldest(&mut self) -> Option<Expired> {
        let slot = self.by_age.first;
        let waiting = &self.slots[slot as usize];
        let expired = Expired { head: waiting.head, contested: waiting.contested };
        let belongs = waiting.segments > 0;
        self.remove(slot);
        (!belongs).then_some(expired)
    }

    /// Marks all in the queue of `slot`: what one of them was is not known, so neither is what the
    /// others were.
    fn contest(&mut self, slot: Slot, queue: usize) {
        let mut at = self.queue(queue, slot).first;
        for _ in 0..MAX_COMPARED {
            if at == NONE {
                break;
            }
            let waiting = &mut self.slots[at as usize];
            waiting.contested = true;
            at = waiting.links[queue].next;
        }
    }

    fn key(
        &self,
        datapath: DatapathId,
        port: InPort,
        packet_len: u32,
        index_len: usize,
        content: u64,
    ) -> u64 {
        use std::hash::BuildHasher;
        self.seed.hash_one((datapath, port, packet_len, index_len, content))
    }

    fn fill_slot(&mut self, waiting: impl FnOnce(&mut Vec<u8>) -> Waiting) -> Slot {
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            let filled = waiting(&mut place.bytes);
            *place = filled;
            return slot;
        }
        let slot = Slot::try_from(self.slots.len()).unwrap_or(NONE);
        self.slots.push(waiting(&mut Vec::new()));
        slot
    }

    fn queue(&self, queue: usize, slot: Slot) -> Queue {
        match queue {
            BY_AGE => self.by_age,
            _ => {
                let key = self.slots[slot as usize].keys[queue];
                self.by_content.get(&key).copied().unwrap_or_default()
            }
        }
    }

    fn set_queue(&mut self, queue: usize, slot: Slot, ends: Queue) {
        if queue == BY_AGE {
            self.by_age = ends;
            return;
        }
        let key = self.slots[slot as usize].keys[queue];
        if ends.first == NONE {
            self.by_content.remove(&key);
        } else {
            self.by_content.insert(key, ends);
        }
    }

    fn append(&mut self, queue: usize, slot: Slot) {
        let ends = self.queue(queue, slot);
        self.slots[slot as usize].links[queue] = Link { prev: ends.last, next: NONE };
        if ends.last != NONE {
            self.slots[ends.last as usize].links[queue].next = slot;
        }
        let first = if ends.first == NONE { slot } else { ends.first };
        self.set_queue(queue, slot, Queue { first, last: slot });
    }

    fn unlink(&mut self, queue: usize, slot: Slot) {
        let Link { prev, next } = self.slots[slot as usize].links[queue];
        if prev != NONE {
            self.slots[prev as usize].links[queue].next = next;
        }
        if next != NONE {
            self.slots[next as usize].links[queue].prev = prev;
        }
        if prev == NONE || next == NONE {
            let ends = self.queue(queue, slot);
            let first = if prev == NONE { next } else { ends.first };
            let last = if next == NONE { prev } else { ends.last };
            self.set_queue(queue, slot, Queue { first, last });
        }
    }

    fn remove(&mut self, slot: Slot) {
        for queue in 0..QUEUES {
            self.unlink(queue, slot);
        }
        let waiting = &self.slots[slot as usize];
        let (datapath, len, index_len) = (waiting.datapath, waiting.packet_len, waiting.index_len);
        for port in [InPort::Port(waiting.port), InPort::Any] {
            if let Some(lens) = self.index_lens.get_mut(&(datapath, port, len)) {
                if let Some(at) = lens.iter().position(|(other, _)| *other == index_len) {
                    lens[at].1 -= 1;
                    if lens[at].1 == 0 {
                        lens.swap_remove(at);
                    }
                }
                if lens.is_empty() {
                    self.index_lens.remove(&(datapath, port, len));
                }
            }
        }
        if let Some(stretch) = waiting.gso {
            self.gso.remove(&stretch, slot);
        }
        self.free.push(slot);
    }
}

/// How far two captures of a packet agree; the better one is the lesser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Agreement {
    Equal,
    ButChecksum,
}

impl Waiting {
    fn agreement(
        &self,
        datapath: DatapathId,
        in_port: InPort,
        packet: &Packet<'_>,
        checksums: &ChecksumFields,
    ) -> Option<Agreement> {
        let same_port = in_port == InPort::Any || in_port == InPort::Port(self.port);
        if !same_port || self.datapath != datapath || self.packet_len != packet.len {
            return None;
        }
        let common = self.bytes.len().min(packet.bytes.len());
        let (ours, theirs) = (&self.bytes[..common], &packet.bytes[..common]);
        if ours == theirs {
            Some(Agreement::Equal)
        } else if checksums.agree(ours, theirs) {
            Some(Agreement::ButChecksum)
        } else {
            None
        }
    }

    fn side(&self, matched: MatchMethod, gso_segment: Option<u32>) -> KernelSide {
        KernelSide {
            head: self.head,
            port: self.port,
            packet_len: self.packet_len,
            matched,
            gso_segment,
        }
    }
}

/// By how many of its captured bytes a packet is indexed: where the capture cut it, a tag that is
/// pushed on delivery moves as many bytes out of the other side's capture.
fn index_len(packet: &Packet<'_>) -> usize {
    let captured = packet.bytes.len();
    if captured < packet.len as usize {
        captured.saturating_sub(PUSHED_TAG_LEN as usize)
    } else {
        captured
    }
}
