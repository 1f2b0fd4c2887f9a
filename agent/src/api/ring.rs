//! The upcalls that are kept: the latest so many.
//!
//! One thread writes, any number read, each from a place of its own. Every slot has its own lock,
//! so the writer waits for no more than the copying of one entry, and that only if a reader is at
//! the very slot that it is about to use again.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, PoisonError};

use super::entry::Entry;

/// Place of an upcall among all that were written, from 0 on.
pub(super) type Sequence = u64;

/// The ring. All of its memory is taken at the start.
pub(super) struct Ring {
    slots: Box<[Mutex<Option<Slot>>]>,
    /// How many were written.
    written: AtomicU64,
}

struct Slot {
    sequence: Sequence,
    entry: Entry,
}

/// What is at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// An entry.
    Entry(T),
    /// Nothing yet.
    NotYet,
    /// Nothing any more.
    Gone,
}

impl Ring {
    /// A ring for so many entries; at least one.
    pub(super) fn new(capacity: usize) -> Self {
        let slots = (0..capacity.max(1)).map(|_| Mutex::new(None)).collect();
        Self { slots, written: AtomicU64::new(0) }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    /// How many were written: the place of the next.
    pub(super) fn end(&self) -> Sequence {
        self.written.load(Acquire)
    }

    /// The place of the oldest that is still there.
    pub(super) fn oldest(&self) -> Sequence {
        self.end().saturating_sub(self.capacity())
    }

    /// Writes the next. Only one thread may do so.
    pub(super) fn write(&self, entry: Entry) {
        let sequence = self.written.load(Relaxed);
        *self.slot(sequence).lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Slot { sequence, entry });
        self.written.store(sequence + 1, Release);
    }

    /// Looks at the entry at a place. The writer may wait for it: be quick.
    pub(super) fn look<T>(&self, at: Sequence, look: impl FnOnce(&Entry) -> T) -> Found<T> {
        if at >= self.end() {
            return Found::NotYet;
        }
        match &*self.slot(at).lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Slot { sequence, entry }) if *sequence == at => Found::Entry(look(entry)),
            _ => Found::Gone,
        }
    }

    fn slot(&self, sequence: Sequence) -> &Mutex<Option<Slot>> {
        &self.slots[(sequence % self.capacity()) as usize]
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity())
            .field("written", &self.end())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{ports, upcall};

    /// An entry that says its place.
    fn entry(place: u64) -> Entry {
        let (ports, datapath) = ports();
        Entry::handled(&upcall(datapath, place, [0, 1, 2, 3, 4], 7), &ports)
    }

    fn place(entry: &Entry) -> u64 {
        entry.upcall().unwrap().first().ordinal.0
    }

    #[test]
    fn the_latest_are_there() {
        let ring = Ring::new(8);
        assert_eq!(ring.look(0, place), Found::NotYet);
        (0..20).for_each(|place| ring.write(entry(place)));
        assert_eq!((ring.oldest(), ring.end()), (12, 20));
        assert_eq!(ring.look(11, place), Found::Gone);
        for at in 12..20 {
            assert_eq!(ring.look(at, place), Found::Entry(at));
        }
        assert_eq!(ring.look(20, place), Found::NotYet);
        assert_eq!(ring.look(u64::MAX, place), Found::NotYet);
    }

    #[test]
    fn a_slot_takes_what_the_help_says() {
        let size = size_of::<Mutex<Option<Slot>>>();
        assert!((650..750).contains(&size), "{size}");
    }

    #[test]
    fn one_place_is_the_least() {
        let ring = Ring::new(0);
        ring.write(entry(0));
        ring.write(entry(1));
        assert_eq!(ring.look(0, place), Found::Gone);
        assert_eq!(ring.look(1, place), Found::Entry(1));
    }

    #[test]
    fn readers_see_whole_entries_while_it_is_written() {
        const WRITTEN: u64 = 20_000;
        let ring = Ring::new(16);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut at = 0;
                    while at < WRITTEN {
                        match ring.look(at, place) {
                            Found::Entry(found) => {
                                assert_eq!(found, at);
                                at += 1;
                            }
                            Found::Gone => at = ring.oldest().max(at + 1),
                            Found::NotYet => std::thread::yield_now(),
                        }
                    }
                });
            }
            (0..WRITTEN).for_each(|place| ring.write(entry(place)));
        });
    }
}
