//! A value for each kind of event.

use std::ops::{AddAssign, Index, IndexMut};

use serde::{Serialize, Serializer};

use crate::event::EventKind;

/// One value for each kind of event. It serialises as a map, in the order in which an upcall's
/// events happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind<T>([T; EventKind::ALL.len()]);

impl<T> PerKind<T> {
    /// The value that `of` gives for each kind.
    pub(crate) fn from_fn(of: impl FnMut(EventKind) -> T) -> Self {
        Self(EventKind::ALL.map(of))
    }

    /// The kinds and their values, in the order in which an upcall's events happen.
    pub fn iter(&self) -> impl Iterator<Item = (EventKind, &T)> {
        EventKind::IN_ORDER.into_iter().map(|kind| (kind, &self[kind]))
    }
}

impl<T: Copy> PerKind<Option<T>> {
    /// The kinds that have a value.
    pub(crate) fn known(&self) -> impl Iterator<Item = (EventKind, T)> {
        self.iter().filter_map(|(kind, value)| Some((kind, (*value)?)))
    }
}

impl<T: Copy + Serialize> PerKind<Option<T>> {
    /// Serialises only the kinds that have a value; for serde's `serialize_with`.
    pub(crate) fn serialize_known<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.known())
    }
}

impl<T> Index<EventKind> for PerKind<T> {
    type Output = T;

    fn index(&self, kind: EventKind) -> &T {
        &self.0[kind.index()]
    }
}

impl<T> IndexMut<EventKind> for PerKind<T> {
    fn index_mut(&mut self, kind: EventKind) -> &mut T {
        &mut self.0[kind.index()]
    }
}

impl<T: Serialize> Serialize for PerKind<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl PerKind<u64> {
    /// The sum of all counts.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Whether all counts are 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|&count| count == 0)
    }
}

impl AddAssign for PerKind<u64> {
    fn add_assign(&mut self, other: Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(count);
        }
    }
}
