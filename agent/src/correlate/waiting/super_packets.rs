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

/// The slots of super-packets, by connection and page.
#[derive(Debug, Default)]
pub(super) struct SuperPackets {
    pages: HashMap<(u64, u32), Vec<Slot>, foldhash::fast::FixedState>,
}

impl SuperPackets {
    /// Those that may hold this segment, newest first.
    pub(super) fn near(&self, segment: &TcpStretch) -> impl Iterator<Item = Slot> + '_ {
        let page = (segment.common, segment.seq >> PAGE_BITS);
        self.pages.get(&page).into_iter().flat_map(|slots| slots.iter().rev().copied())
    }

    pub(super) fn add(&mut self, stretch: &TcpStretch, slot: Slot) {
        for page in pages(stretch) {
            let slots = self.pages.entry((stretch.common, page)).or_default();
            if slots.len() == MAX_COMPARED {
                slots.remove(0);
            }
            slots.push(slot);
        }
    }

    pub(super) fn remove(&mut self, stretch: &TcpStretch, slot: Slot) {
        for page in pages(stretch) {
            let key = (stretch.common, page);
            if let Some(slots) = self.pages.get_mut(&key) {
                slots.retain(|&other| other != slot);
                if slots.is_empty() {
                    self.pages.remove(&key);
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
