//! By how many of its captured bytes a packet is indexed.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::super::packet::PUSHED_TAG_LEN;
use crate::event::Packet;

/// Lengths by which packets are indexed that were not captured whole: common ones of headers and,
/// less [`PUSHED_TAG_LEN`], of captures. They are few, as each costs a search.
const LADDER: [u16; 12] = [14, 34, 38, 50, 62, 92, 124, 188, 252, 508, 1020, 2044];

/// Where the capture cut a packet, a tag that is pushed on delivery moves as many bytes out of the
/// other side's capture: these are left out.
pub(super) fn index_len(packet: &Packet<'_>) -> u16 {
    let captured = u16::try_from(packet.bytes.len()).unwrap_or(u16::MAX);
    if packet.bytes.len() == packet.len as usize {
        return captured;
    }
    let common = captured.saturating_sub(PUSHED_TAG_LEN);
    LADDER.into_iter().rfind(|&len| len <= common).unwrap_or(0)
}

/// By how many bytes the waiting packets of each length are indexed: one or two different numbers
/// in practice, each with the count of packets.
#[derive(Debug, Default)]
pub(super) struct IndexLens(HashMap<u32, SmallVec<[(u16, u32); 2]>, foldhash::fast::FixedState>);

impl IndexLens {
    /// Those of packets of this length.
    pub(super) fn of(&self, packet_len: u32) -> impl Iterator<Item = u16> + '_ {
        self.0.get(&packet_len).into_iter().flatten().map(|&(len, _)| len)
    }

    pub(super) fn add(&mut self, packet_len: u32, index_len: u16) {
        let lens = self.0.entry(packet_len).or_default();
        match lens.iter_mut().find(|(len, _)| *len == index_len) {
            Some((_, count)) => *count += 1,
            None => lens.push((index_len, 1)),
        }
    }

    pub(super) fn remove(&mut self, packet_len: u32, index_len: u16) {
        let Some(lens) = self.0.get_mut(&packet_len) else { return };
        let Some(at) = lens.iter().position(|&(len, _)| len == index_len) else { return };
        lens[at].1 -= 1;
        if lens[at].1 == 0 {
            lens.swap_remove(at);
        }
        if lens.is_empty() {
            self.0.remove(&packet_len);
        }
    }
}
