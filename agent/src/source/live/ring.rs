//! The agent's end of the ring buffer (`upspan_ebpf::ring`).

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};
use upspan_ebpf::record::{Head, MAX_LEN};
use upspan_ebpf::ring::{Chunk, Positions, chunks, place};

/// Records that programs have written, in the order in which they had room.
#[derive(Debug)]
pub struct Ring {
    chunks: MmapRaw,
    positions: MmapRaw,
    bytes: u64,
}

/// What no program writes is in the ring, so that nothing behind it makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring buffer is damaged: a record of {len} bytes at {position}")]
pub struct DamagedRing {
    /// The record's length by its head.
    pub len: u32,
    /// Where it is, in bytes since the beginning.
    pub position: u64,
}

/// A record, which gives its room back when it is dropped.
#[derive(Debug)]
pub struct Entry<'r> {
    ring: &'r mut Ring,
    len: usize,
}

impl Ring {
    /// Of the maps `EVENTS` and `STATE` of the programs, with the size that they know: a power
    /// of two.
    ///
    /// # Errors
    ///
    /// The maps cannot be mapped.
    pub fn new(events: &MapData, state: &MapData, bytes: u64) -> io::Result<Self> {
        let map =
            |map: &MapData, len| MmapOptions::new().len(len).map_raw(map.fd().as_fd().as_raw_fd());
        let count = chunks(bytes) as usize;
        Ok(Self {
            chunks: map(events, count * size_of::<Chunk>())?,
            positions: map(state, size_of::<Positions>())?,
            bytes,
        })
    }

    /// The next record, if it is whole.
    ///
    /// # Errors
    ///
    /// The ring is damaged.
    pub fn take(&mut self) -> Result<Option<Entry<'_>>, DamagedRing> {
        let position = self.consumer().load(Ordering::Relaxed);
        // What is written before the word is seen after it.
        let word = self.word(position).load(Ordering::Acquire);
        if word == 0 {
            return Ok(None);
        }
        let len = Head { word, ..Head::default() }.record_len();
        let is_record =
            (size_of::<Head>()..=MAX_LEN).contains(&(len as usize)) && len.is_multiple_of(8);
        if is_record {
            Ok(Some(Entry { len: len as usize, ring: self }))
        } else {
            Err(DamagedRing { len, position })
        }
    }

    /// Whether all that programs had room for was taken. What is not may not be whole yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producer().load(Ordering::Acquire) == self.consumer().load(Ordering::Relaxed)
    }

    /// Has a program ring the doorbell for the next record, unless there is one already. Returns
    /// whether that is worth waiting for.
    #[must_use]
    pub fn wait_for_next(&self) -> bool {
        self.waiting().store(1, Ordering::SeqCst);
        // A program takes room and then looks whether somebody waits; here it is the other way round,
        // so that one of both sees the other.
        fence(Ordering::SeqCst);
        self.is_empty()
    }

    /// Nobody waits any more.
    pub fn stop_waiting(&self) {
        self.waiting().store(0, Ordering::Relaxed);
    }

    fn waiting(&self) -> &AtomicU64 {
        // SAFETY: it is mapped as long as `self` lives, and others only write it atomically.
        unsafe { AtomicU64::from_ptr((&raw const (*self.positions()).waiting).cast_mut()) }
    }

    fn positions(&self) -> *const Positions {
        self.positions.as_ptr().cast()
    }

    fn producer(&self) -> &AtomicU64 {
        // SAFETY: it is mapped as long as `self` lives, and others only write it atomically.
        unsafe { AtomicU64::from_ptr((&raw const (*self.positions()).producer).cast_mut()) }
    }

    fn consumer(&self) -> &AtomicU64 {
        // SAFETY: it is mapped as long as `self` lives, and only this ring writes it.
        unsafe { AtomicU64::from_ptr((&raw const (*self.positions()).consumer).cast_mut()) }
    }

    /// Where a record begins.
    fn start(&self, position: u64) -> *mut u8 {
        let (chunk, at) = place(position, self.bytes);
        // SAFETY: `place` keeps to the chunks, of which each has room for a record behind it.
        unsafe { self.chunks.as_mut_ptr().add(chunk as usize * size_of::<Chunk>() + at as usize) }
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        // SAFETY: it is mapped as long as `self` lives, positions and chunks are multiples of 8,
        // and programs write it atomically.
        unsafe { AtomicU64::from_ptr(self.start(position).cast()) }
    }
}

impl Deref for Entry<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.ring.start(self.ring.consumer().load(Ordering::Relaxed));
        // SAFETY: the record is whole, so that programs leave its bytes alone until it is dropped;
        // its length was checked.
        unsafe { slice::from_raw_parts(start, self.len) }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let position = self.ring.consumer().load(Ordering::Relaxed);
        // SAFETY: as above; nothing borrows the bytes any more.
        unsafe { ptr::write_bytes(self.ring.start(position), 0, self.len) };
        // Programs see the zeros before they see the room.
        self.ring.consumer().store(position + self.len as u64, Ordering::Release);
    }
}
