//! Bounds what is read of a file.

use std::cell::Cell;
use std::ops::Range;

use object::read::ReadRef;

/// Bytes that are read of one file. Program headers, section headers and notes of even a large
/// program are some tens of kilobytes.
pub(super) const BUDGET: u64 = 4 << 20;

/// What a read costs beyond its bytes, for what a cache keeps of it.
const OVERHEAD: u64 = 64;

/// Data of which at most a budget is read: a sparse file costs nothing to make, but its sections
/// may claim terabytes.
#[derive(Clone, Copy)]
pub(super) struct Bounded<'b, R> {
    data: R,
    left: &'b Cell<u64>,
}

impl<'b, R> Bounded<'b, R> {
    /// `data`, of which as much is read as is `left`.
    pub(super) const fn new(data: R, left: &'b Cell<u64>) -> Self {
        Self { data, left }
    }

    fn spend(self, size: u64) -> Result<(), ()> {
        let cost = size.saturating_add(OVERHEAD);
        self.left.set(self.left.get().checked_sub(cost).ok_or(())?);
        Ok(())
    }
}

impl<'a, R: ReadRef<'a>> ReadRef<'a> for Bounded<'_, R> {
    fn len(self) -> Result<u64, ()> {
        self.data.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        self.spend(size)?;
        self.data.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let found = self.data.read_bytes_at_until(range, delimiter)?;
        self.spend(found.len() as u64)?;
        Ok(found)
    }
}
