//! Slots by key, several to a key, at a constant cost for each step.

use hashbrown::HashTable;

/// No slot.
const NONE: u32 = u32::MAX;

/// Finds slots by the hash of a key. Slots whose hashes are equal form a list through their links,
/// the newest first: whoever looks compares the keys.
///
/// The memory is there from the start and does not grow.
#[derive(Debug)]
pub(super) struct Chains {
    heads: HashTable<Head>,
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    hash: u32,
    slot: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    newer: u32,
    older: u32,
}

/// The table looks at the highest bits and the lowest.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Chains {
    /// Heads that there is room for, for each slot. A table that is more than half full grows when
    /// what was removed has used it up; this one never is.
    const ROOM: usize = 2;

    /// Most bytes that chains of so many slots take.
    pub(super) const fn bytes_of(slots: usize) -> usize {
        // Tables have room for 7/8 of a power of two, and a byte for each place besides the head.
        let places = (Self::ROOM * slots * 8 / 7 + 1).next_power_of_two();
        places * (size_of::<Head>() + 1) + 64 + slots * size_of::<Link>()
    }

    /// For slots below `slots`.
    pub(super) fn new(slots: usize) -> Self {
        let links = vec![Link { newer: NONE, older: NONE }; slots];
        Self { heads: HashTable::with_capacity(Self::ROOM * slots), links }
    }

    /// Bytes that this takes.
    pub(super) fn bytes(&self) -> usize {
        self.heads.allocation_size() + self.links.capacity() * size_of::<Link>()
    }

    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        let head = Head { hash, slot };
        let older = match self.heads.find_mut(spread(hash), |head| head.hash == hash) {
            Some(found) => std::mem::replace(found, head).slot,
            None => {
                self.heads.insert_unique(spread(hash), head, |head| spread(head.hash));
                NONE
            }
        };
        self.links[slot as usize] = Link { newer: NONE, older };
        if older != NONE {
            self.links[older as usize].newer = slot;
        }
    }

    /// Takes out a slot that was inserted with this hash.
    pub(super) fn remove(&mut self, hash: u32, slot: u32) {
        let Link { newer, older } = self.links[slot as usize];
        if older != NONE {
            self.links[older as usize].newer = newer;
        }
        if newer != NONE {
            self.links[newer as usize].older = older;
            return;
        }
        let Ok(mut entry) = self.heads.find_entry(spread(hash), |head| head.hash == hash) else {
            return;
        };
        if older == NONE {
            entry.remove();
        } else {
            entry.get_mut().slot = older;
        }
    }

    /// The slots with this hash, the newest first.
    pub(super) fn of(&self, hash: u32) -> impl Iterator<Item = u32> + '_ {
        let head = self.heads.find(spread(hash), |head| head.hash == hash);
        let some = |slot| (slot != NONE).then_some(slot);
        std::iter::successors(head.map(|head| head.slot), move |&slot| {
            some(self.links[slot as usize].older)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slots_are_found_by_their_hash_the_newest_first(
            steps in proptest::collection::vec((0_u32..20, 0_u32..4), 0..200),
        ) {
            let mut chains = Chains::new(20);
            let bytes = chains.bytes();
            let mut model: Vec<(u32, u32)> = Vec::new();
            for (slot, hash) in steps {
                match model.iter().position(|&(known, _)| known == slot) {
                    Some(at) => {
                        let (_, hash) = model.remove(at);
                        chains.remove(hash, slot);
                    }
                    None => {
                        chains.insert(hash, slot);
                        model.push((slot, hash));
                    }
                }
                for hash in 0..4 {
                    let expected: Vec<_> =
                        model.iter().rev().filter(|e| e.1 == hash).map(|e| e.0).collect();
                    prop_assert_eq!(chains.of(hash).collect::<Vec<_>>(), expected);
                }
            }
            prop_assert_eq!(chains.bytes(), bytes);
        }
    }
}
