//! Waiting GSO super-packets, found by the stretch of a connection that they carry.

use hashbrown::HashMap;

use super::packet::TcpStretch;
use super::waiting::Slot;

/// A GSO super-packet has more payload than one segment of the smallest usual MTU (576).
const MIN_PAYLOAD: u32 = 536;
/// A connection's sequence space is indexed by pages of this size.
const PAGE_BITS: u32 = 16;
const PAGE_MASK: u32 = u32::MAX >> PAGE_BITS;
/// Most pages of a super-packet: BIG TCP sends up to 512 KiB at once.
const MAX_PAGES: u32 = 9;
/// Super-packets kept per page, the newest: far more than a page of new data has.
const MAX_PER_PAGE: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct GsoIndex {
    pages: HashMap<(u64, u32), Vec<Slot>, foldhash::fast::FixedState>,
}

impl GsoIndex {
    /// What such a packet may be cut into, if it is large enough for that.
    pub(super) fn super_packet(stretch: Option<TcpStretch>) -> Option<TcpStretch> {
        stretch.filter(|stretch| stretch.payload > MIN_PAYLOAD)
    }

    pub(super) fn insert(&mut self, stretch: &TcpStretch, slot: Slot) {
        for page in pages(stretch) {
            let slots = self.pages.entry((stretch.common, page)).or_default();
            if slots.len() == MAX_PER_PAGE {
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

    /// Those that may hold this segment, the newest first.
    pub(super) fn candidates(&self, segment: &TcpStretch) -> impl Iterator<Item = Slot> + '_ {
        let key = (segment.common, segment.seq >> PAGE_BITS);
        self.pages.get(&key).into_iter().flatten().rev().copied()
    }
}

/// The pages of the sequence space that a stretch touches.
fn pages(stretch: &TcpStretch) -> impl Iterator<Item = u32> {
    let first = stretch.seq >> PAGE_BITS;
    let last = stretch.seq.wrapping_add(stretch.payload - 1) >> PAGE_BITS;
    let count = (last.wrapping_sub(first) & PAGE_MASK) + 1;
    (0..count.min(MAX_PAGES)).map(move |n| first.wrapping_add(n) & PAGE_MASK)
}
