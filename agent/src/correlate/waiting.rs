//! The `dp_upcall`s that wait for their `recv_upcall`, found by content in constant time.
//!
//! Every one stands in the queue of its content and port, and in the queue of all by age; once
//! there are keys that name no port (of tunnels), also in the queue of its content whatever the
//! port.

mod index_lens;
mod slots;
mod super_packets;

use std::cmp::Reverse;
use std::hash::BuildHasher;

use smallvec::SmallVec;

use super::packet::{ChecksumFields, PUSHED_TAG_LEN, TcpStretch, without_vlan_tag};
use crate::event::{Cpu, EventHead, InPort, MonotonicNs, Ordinal, Packet, UpcallType};
use crate::ports::{DatapathId, PortNo};
use crate::upcall::{KernelSide, MatchMethod};
use index_lens::{IndexLens, index_len};
use slots::{Index, Ring, Slot, Slots};
use super_packets::SuperPackets;

/// Of packets that are alike but for their checksum, this many are compared to prefer an equal one.
const MAX_COMPARED: usize = 64;
/// Bytes of a packet that are kept, at most: as many as upcall_cost.py captures.
const MAX_KEPT_BYTES: usize = 2048;
/// A buffer with more room than this is not kept for the next packet.
const MAX_SPARE_BYTES: usize = 512;

/// The captured bytes of a packet. A small packet, of which floods are made, lies with the rest of
/// what waits: no second place in memory to be fetched.
type PacketBytes = SmallVec<[u8; 64]>;

/// What both sides of an upcall know for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) datapath: DatapathId,
    pub(super) upcall_type: UpcallType,
}

/// A `dp_upcall` that waits.
#[derive(Debug)]
struct Waiting {
    head: EventHead,
    origin: Origin,
    port: PortNo,
    packet_len: u32,
    bytes: PacketBytes,
    index_len: u16,
    /// It is a GSO super-packet, and stands among those too.
    is_super: bool,
    /// It was one of several that a `recv_upcall` may have meant.
    contested: bool,
    key: Key,
}

/// Hashes of what a delivered packet is found by: its content, and its content and port.
#[derive(Clone, Copy, Debug)]
struct Key {
    content: u64,
    by_port: u64,
}

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

/// CPUs of which the latest one is known; Linux has no more (`NR_CPUS` of its x86-64).
const MAX_CPUS: usize = 8192;

/// See the module.
#[derive(Debug)]
pub(super) struct WaitingUpcalls {
    slots: Slots,
    by_port: Index,
    /// Made when first needed.
    any_port: Option<Index>,
    oldest: Option<Slot>,
    /// The latest one of each CPU, which may have been taken out since.
    latest: Vec<Slot>,
    index_lens: IndexLens,
    super_packets: SuperPackets,
    capacity: usize,
    capacity_bytes: usize,
    /// Bytes of packets kept.
    bytes: usize,
    seed: foldhash::fast::FixedState,
    untagged: Vec<u8>,
}

impl WaitingUpcalls {
    /// Holds at most `capacity` of them, and `capacity_bytes` bytes of their packets.
    pub(super) fn new(capacity: usize, capacity_bytes: usize) -> Self {
        Self {
            slots: Slots::default(),
            by_port: Index::new(Ring::ByPort),
            any_port: None,
            oldest: None,
            latest: Vec::new(),
            index_lens: IndexLens::default(),
            super_packets: SuperPackets::default(),
            capacity: capacity.max(1),
            capacity_bytes: capacity_bytes.max(MAX_KEPT_BYTES),
            bytes: 0,
            seed: foldhash::fast::FixedState::default(),
            untagged: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Takes out the oldest one as long as there is no room for another.
    pub(super) fn pop_excess(&mut self) -> Option<Expired> {
        while self.len() >= self.capacity || self.bytes + MAX_KEPT_BYTES > self.capacity_bytes {
            let expired = self.remove_oldest();
            if expired.is_some() {
                return expired;
            }
        }
        None
    }

    /// Adds one.
    pub(super) fn insert(
        &mut self,
        head: EventHead,
        origin: Origin,
        port: PortNo,
        packet: &Packet<'_>,
    ) {
        let kept = packet.bytes.len().min(MAX_KEPT_BYTES);
        let packet = &Packet { len: packet.len, bytes: &packet.bytes[..kept] };
        self.bytes += kept;
        let checksums = ChecksumFields::find(packet.bytes);
        let index_len = index_len(packet);
        let content = self.content(origin, packet, index_len, &checksums);
        let gso = TcpStretch::of(packet.bytes, packet.len, &self.seed)
            .filter(|stretch| stretch.payload > super_packets::MIN_PAYLOAD);
        let key = Key { content, by_port: self.with_port(content, port) };
        let slot = self.slots.fill(|mut bytes| Waiting {
            head,
            origin,
            port,
            packet_len: packet.len,
            bytes: {
                bytes.clear();
                bytes.extend_from_slice(packet.bytes);
                bytes
            },
            index_len,
            is_super: gso.is_some(),
            contested: false,
            key,
        });
        self.slots.append(Ring::ByAge, self.oldest, slot);
        self.oldest.get_or_insert(slot);
        let cpu = head.cpu.0 as usize;
        if cpu < MAX_CPUS {
            if cpu >= self.latest.len() {
                self.latest.resize(cpu + 1, slot);
            }
            self.latest[cpu] = slot;
        }
        self.by_port.add(&mut self.slots, slot);
        if let Some(any_port) = &mut self.any_port {
            any_port.add(&mut self.slots, slot);
        }
        self.index_lens.add(packet.len, index_len);
        if let Some(stretch) = gso {
            self.super_packets.add(stretch, slot);
        }
    }

    /// Finds the earliest one that this delivered packet was, and takes it out (but for a GSO
    /// super-packet that has more segments to come). With `unique_only` a packet that several may
    /// have been is not joined to any.
    pub(super) fn take(
        &mut self,
        origin: Origin,
        in_port: InPort,
        packet: &Packet<'_>,
        unique_only: bool,
    ) -> Found {
        if self.len() == 0 {
            return Found::Nothing;
        }
        let found = self.take_whole(origin, in_port, packet, false, unique_only);
        if found != Found::Nothing {
            return found;
        }
        let mut untagged = std::mem::take(&mut self.untagged);
        let mut found = Found::Nothing;
        let untagged_len = packet.len.saturating_sub(PUSHED_TAG_LEN.into());
        if untagged_len > 0 && without_vlan_tag(packet.bytes, &mut untagged) {
            let packet = Packet { len: untagged_len, bytes: &untagged };
            found = self.take_whole(origin, in_port, &packet, true, unique_only);
        }
        self.untagged = untagged;
        if found == Found::Nothing {
            found = self.take_segment(origin, in_port, packet, unique_only);
        }
        found
    }

    /// A packet that was delivered whole.
    fn take_whole(
        &mut self,
        origin: Origin,
        in_port: InPort,
        packet: &Packet<'_>,
        tag_pushed: bool,
        unique_only: bool,
    ) -> Found {
        if in_port == InPort::Any {
            self.index_any_port();
        }
        let checksums = ChecksumFields::find(packet.bytes);
        let mut best: Option<(Fit, Slot)> = None;
        let mut several = false;
        for index_len in self.index_lens.of(packet.len) {
            if usize::from(index_len) > packet.bytes.len() {
                continue;
            }
            let content = self.content(origin, packet, index_len, &checksums);
            for slot in self.with_content(content, in_port).take(MAX_COMPARED) {
                let waiting = &self.slots[slot];
                let Some(agreement) = waiting.agreement(origin, in_port, packet, &checksums) else {
                    continue;
                };
                let compared = waiting.bytes.len().min(packet.bytes.len());
                let fit = (agreement, Reverse(compared), waiting.head.ordinal);
                several |= best.is_some();
                if best.is_none_or(|(held, _)| fit < held) {
                    best = Some((fit, slot));
                }
                // Of those with this many bytes none fits better; or it is enough to know that
                // it is not the only one.
                let is_enough = if unique_only { several } else { agreement == Agreement::Equal };
                if is_enough {
                    break;
                }
            }
        }
        let Some(((agreement, ..), slot)) = best else { return Found::Nothing };
        if unique_only && (several || self.slots[slot].contested) {
            self.contest(slot, in_port);
            return Found::Several;
        }
        let waiting = &self.slots[slot];
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
        origin: Origin,
        in_port: InPort,
        packet: &Packet<'_>,
        unique_only: bool,
    ) -> Found {
        let Some(segment) = TcpStretch::of(packet.bytes, packet.len, &self.seed) else {
            return Found::Nothing;
        };
        let may_be = |waiting: &Waiting| {
            waiting.origin == origin
                && (in_port == InPort::Any || in_port == InPort::Port(waiting.port))
                && waiting.packet_len > packet.len
        };
        let mut candidates =
            self.super_packets.holding(&segment).filter(|&slot| may_be(&self.slots[slot]));
        let Some(slot) = candidates.next() else { return Found::Nothing };
        let other = candidates.next().filter(|_| unique_only);
        drop(candidates);
        if let Some(other) = other {
            self.slots[slot].contested = true;
            self.slots[other].contested = true;
            return Found::Several;
        }
        let Some((index, is_last)) = self.super_packets.deliver(slot, &segment) else {
            return Found::Nothing;
        };
        let side = self.slots[slot].side(MatchMethod::Prefix, Some(index));
        if is_last {
            self.remove(slot);
        }
        Found::One(side)
    }

    /// Takes out the latest one of a CPU, if it was at `ts`, and shows it.
    pub(super) fn take_failed(
        &mut self,
        cpu: Cpu,
        ts: MonotonicNs,
        show: impl FnOnce(&EventHead, Origin, PortNo, Packet<'_>),
    ) -> bool {
        let Some(&slot) = self.latest.get(cpu.0 as usize) else { return false };
        let waiting = &self.slots[slot];
        if waiting.head.cpu != cpu || waiting.head.ts != ts {
            return false;
        }
        let packet = Packet { len: waiting.packet_len, bytes: &waiting.bytes };
        show(&waiting.head, waiting.origin, waiting.port, packet);
        self.remove(slot);
        true
    }

    /// Takes out the oldest one if its time is `over`. Super-packets of which segments were
    /// delivered go silently: they belong to upcalls.
    pub(super) fn pop_expired(&mut self, over: impl Fn(MonotonicNs) -> bool) -> Option<Expired> {
        while self.oldest.is_some_and(|oldest| over(self.slots[oldest].head.ts)) {
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
        let slot = self.oldest?;
        let waiting = &self.slots[slot];
        let expired = Expired { head: waiting.head, contested: waiting.contested };
        let belongs = waiting.is_super && self.super_packets.is_begun(slot);
        self.remove(slot);
        (!belongs).then_some(expired)
    }

    /// Marks all in the queue of `slot`: what one of them was is not known, so neither is what the
    /// others were.
    fn contest(&mut self, slot: Slot, in_port: InPort) {
        let content = self.slots[slot].key.content;
        let queue: SmallVec<[Slot; MAX_COMPARED]> =
            self.with_content(content, in_port).take(MAX_COMPARED).collect();
        for slot in queue {
            self.slots[slot].contested = true;
        }
    }

    /// Hash of what a packet has in common with what was delivered, if that is indexed by so many
    /// bytes.
    fn content(
        &self,
        origin: Origin,
        packet: &Packet<'_>,
        index_len: u16,
        checksums: &ChecksumFields,
    ) -> u64 {
        let bytes = checksums.hash(&packet.bytes[..usize::from(index_len)], &self.seed);
        self.seed.hash_one((bytes, origin, packet.len, index_len))
    }

    fn with_port(&self, content: u64, port: PortNo) -> u64 {
        self.seed.hash_one((content, port))
    }

    /// Those with this content from this port, oldest first.
    fn with_content(&self, content: u64, in_port: InPort) -> impl Iterator<Item = Slot> + '_ {
        let (index, key) = match in_port {
            InPort::Port(port) => (Some(&self.by_port), self.with_port(content, port)),
            InPort::Any => (self.any_port.as_ref(), content),
        };
        index.into_iter().flat_map(move |index| index.ring(&self.slots, key))
    }

    /// From now on, they are found without knowing the port.
    fn index_any_port(&mut self) {
        if self.any_port.is_some() {
            return;
        }
        let mut index = Index::new(Ring::AnyPort);
        let mut next = self.oldest;
        while let Some(slot) = next {
            index.add(&mut self.slots, slot);
            let after = self.slots.next(Ring::ByAge, slot);
            next = (Some(after) != self.oldest).then_some(after);
        }
        self.any_port = Some(index);
    }

    fn remove(&mut self, slot: Slot) {
        let next = self.slots.unlink(Ring::ByAge, slot);
        if self.oldest == Some(slot) {
            self.oldest = next;
        }
        self.by_port.remove(&mut self.slots, slot);
        if let Some(any_port) = &mut self.any_port {
            any_port.remove(&mut self.slots, slot);
        }
        let waiting = &mut self.slots[slot];
        self.index_lens.remove(waiting.packet_len, waiting.index_len);
        if waiting.is_super {
            self.super_packets.remove(slot);
        }
        self.bytes -= waiting.bytes.len();
        // So that it is not taken for the latest one of its CPU.
        waiting.head = EventHead::default();
        if waiting.bytes.capacity() > MAX_SPARE_BYTES {
            waiting.bytes = PacketBytes::new();
        }
        self.slots.free(slot);
    }
}

/// How well a waiting one fits, the lesser the better: by agreement, then by how many bytes were
/// compared, then by age.
type Fit = (Agreement, Reverse<usize>, Ordinal);

/// How far two captures of a packet agree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Agreement {
    Equal,
    ButChecksum,
}

impl Waiting {
    /// What it is found by in this ring.
    fn key(&self, ring: Ring) -> u64 {
        match ring {
            Ring::ByPort => self.key.by_port,
            Ring::AnyPort | Ring::ByAge => self.key.content,
        }
    }

    fn agreement(
        &self,
        origin: Origin,
        in_port: InPort,
        packet: &Packet<'_>,
        checksums: &ChecksumFields,
    ) -> Option<Agreement> {
        let same_port = in_port == InPort::Any || in_port == InPort::Port(self.port);
        if !same_port || self.origin != origin || self.packet_len != packet.len {
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
