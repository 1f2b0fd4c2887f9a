//! Where the waiting stand: slots that are used again, and rings through them.
//!
//! A ring is a queue whose last one links to the first one, so that the first one is all that
//! needs to be known of it. Leaving one costs no search.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{PacketBytes, Waiting};

pub(super) type Slot = u32;

/// The rings that a slot can stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ring {
    /// With those of the same content and port.
    ByPort,
    /// With those of the same content.
    AnyPort,
    /// With all others, oldest first.
    ByAge,
}

impl Ring {
    const COUNT: usize = 3;
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    prev: Slot,
    next: Slot,
}

#[derive(Debug)]
struct Place {
    waiting: Waiting,
    links: [Link; Ring::COUNT],
}

/// The slots. A slot that was freed keeps its buffers for the next one.
#[derive(Debug, Default)]
pub(super) struct Slots {
    places: Vec<Place>,
    free: Vec<Slot>,
}

impl Slots {
    /// Slots in use.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Fills a slot. `waiting` is given the bytes of who was there before.
    pub(super) fn fill(&mut self, waiting: impl FnOnce(PacketBytes) -> Waiting) -> Slot {
        if let Some(slot) = self.free.pop() {
            let place = &mut self.places[slot as usize].waiting;
            *place = waiting(std::mem::take(&mut place.bytes));
            return slot;
        }
        let slot = Slot::try_from(self.places.len()).unwrap_or(Slot::MAX);
        self.places.push(Place { waiting: waiting(PacketBytes::new()), links: Default::default() });
        slot
    }

    /// Frees a slot, which stands in no ring any more.
    pub(super) fn free(&mut self, slot: Slot) {
        self.free.push(slot);
    }

    pub(super) fn next(&self, ring: Ring, slot: Slot) -> Slot {
        self.places[slot as usize].links[ring as usize].next
    }

    fn link(&mut self, ring: Ring, slot: Slot) -> &mut Link {
        &mut self.places[slot as usize].links[ring as usize]
    }

    /// Puts a slot at the end of the ring that begins with `first`; without, it is a ring.
    pub(super) fn append(&mut self, ring: Ring, first: Option<Slot>, slot: Slot) {
        let first = first.unwrap_or(slot);
        if first == slot {
            *self.link(ring, slot) = Link { prev: slot, next: slot };
            return;
        }
        let last = std::mem::replace(&mut self.link(ring, first).prev, slot);
        self.link(ring, last).next = slot;
        *self.link(ring, slot) = Link { prev: last, next: first };
    }

    /// Takes a slot out of a ring; gives the one after it, `None` if nobody is left.
    pub(super) fn unlink(&mut self, ring: Ring, slot: Slot) -> Option<Slot> {
        let Link { prev, next } = *self.link(ring, slot);
        if next == slot {
            return None;
        }
        self.link(ring, prev).next = next;
        self.link(ring, next).prev = prev;
        Some(next)
    }
}

impl std::ops::Index<Slot> for Slots {
    type Output = Waiting;

    fn index(&self, slot: Slot) -> &Waiting {
        &self.places[slot as usize].waiting
    }
}

impl std::ops::IndexMut<Slot> for Slots {
    fn index_mut(&mut self, slot: Slot) -> &mut Waiting {
        &mut self.places[slot as usize].waiting
    }
}

/// Finds the ring of a content by its hash. It holds no more than a slot number for each, so that
/// the index of very many still fits into a CPU's cache.
#[derive(Debug)]
pub(super) struct Index {
    ring: Ring,
    first: HashTable<Slot>,
}

impl Index {
    pub(super) fn new(ring: Ring) -> Self {
        Self { ring, first: HashTable::new() }
    }

    /// The slots with this key, oldest first.
    pub(super) fn ring<'s>(&self, slots: &'s Slots, key: u64) -> impl Iterator<Item = Slot> + 's {
        let ring = self.ring;
        let first = self.first.find(key, |&slot| slots[slot].key(ring) == key).copied();
        std::iter::successors(first, move |&slot| {
            Some(slots.next(ring, slot)).filter(|&next| Some(next) != first)
        })
    }

    pub(super) fn add(&mut self, slots: &mut Slots, slot: Slot) {
        let ring = self.ring;
        let key = slots[slot].key(ring);
        let same = |&other: &Slot| slots[other].key(ring) == key;
        let first = match self.first.entry(key, same, |&other| slots[other].key(ring)) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(place) => {
                place.insert(slot);
                None
            }
        };
        slots.append(ring, first, slot);
    }

    pub(super) fn remove(&mut self, slots: &mut Slots, slot: Slot) {
        let key = slots[slot].key(self.ring);
        let next = slots.unlink(self.ring, slot);
        // Only the first one of a ring is found.
        if let Ok(mut first) = self.first.find_entry(key, |&first| first == slot) {
            match next {
                Some(next) => *first.get_mut() = next,
                None => drop(first.remove()),
            }
        }
    }
}
