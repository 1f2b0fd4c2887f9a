//! GSO super-packets by the stretches of TCP connections that they carry.

use hashbrown::HashMap;

use super::super::packet::TcpStretch;
use super::MAX_COMPARED;
use super::slots::Slot;

/// A super-packet has more payload than one segment of the smallest usual MTU (576).
pub(super) const MIN_PAYLOAD: u32 = 536;
/// A connection's sequence space is indexed by pages of this size; a super-packet has at most
/// [`MAX_PAGES`] of them.
const PAGE_BITS: u32 = 16;
const PAGE_MASK: u32 = u32::MAX >> PAGE_BITS;
/// BIG TCP sends up to 512 KiB at once.
const MAX_PAGES: u32 = 9;

/// What is known of a super-packet.
#[derive(Debug)]
struct SuperPacket {
    stretch: TcpStretch,
    /// Segments delivered so far, and their payload.
    segments: u32,
    payload: u32,
}

/// Those that wait, by slot, and their slots by connection and page.
#[derive(Debug, Default)]
pub(super) struct SuperPackets {
    by_slot: HashMap<Slot, SuperPacket, foldhash::fast::FixedState>,
    by_page: HashMap<(u64, u32), Vec<Slot>, foldhash::fast::FixedState>,
}

impl SuperPackets {
    /// Those that this segment may have been cut from, newest first.
    pub(super) fn holding<'s>(
        &'s self,
        segment: &'s TcpStretch,
    ) -> impl Iterator<Item = Slot> + 's {
        let page = (segment.common, segment.seq >> PAGE_BITS);
        let slots = self.by_page.get(&page).into_iter().flat_map(|slots| slots.iter().rev());
        slots.copied().filter(move |slot| {
            self.by_slot.get(slot).is_some_and(|whole| whole.stretch.holds(segment))
        })
    }

    pub(super) fn add(&mut self, stretch: TcpStretch, slot: Slot) {
        for page in pages(&stretch) {
            let slots = self.by_page.entry((stretch.common, page)).or_default();
            if slots.len() == MAX_COMPARED {
                slots.remove(0);
            }
            slots.push(slot);
        }
        self.by_slot.insert(slot, SuperPacket { stretch, segments: 0, payload: 0 });
    }

    /// Counts a segment of the one in `slot`: its number there, from 0 on, and whether it was the
    /// last.
    pub(super) fn deliver(&mut self, slot: Slot, segment: &TcpStretch) -> Option<(u32, bool)> {
        let whole = self.by_slot.get_mut(&slot)?;
        let index = whole.segments;
        whole.segments = whole.segments.saturating_add(1);
        whole.payload = whole.payload.saturating_add(segment.payload);
        Some((index, whole.payload >= whole.stretch.payload))
    }

    /// Whether a segment of it was delivered.
    pub(super) fn is_begun(&self, slot: Slot) -> bool {
        self.by_slot.get(&slot).is_some_and(|whole| whole.segments > 0)
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(SuperPacket { stretch, .. }) = self.by_slot.remove(&slot) else { return };
        for page in pages(&stretch) {
            let key = (stretch.common, page);
            if let Some(slots) = self.by_page.get_mut(&key) {
                slots.retain(|&other| other != slot);
                if slots.is_empty() {
                    self.by_page.remove(&key);
                }
            }
        }
    }
}

/// The pages of the sequence space that a stretch touches.
fn pages(stretch: &TcpStretch) -> impl Iterator<Item = u32> {
    let first = stretch.seq >> PAGE_BITS;
    let last = stretch.seq.wrapping_add(stretch.payload - 1) >> PAGE_BITS;
    let count = (last.wrapping_sub(first) & PAGE_MASK) + 1;
    (0..count.min(MAX_PAGES)).map(move |n| first.wrapping_add(n) & PAGE_MASK)
}
