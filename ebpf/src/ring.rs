//! The ring buffer between the BPF programs and the agent: an array of chunks that the agent has
//! mapped, and two positions.
//!
//! It is not `BPF_MAP_TYPE_RINGBUF`: that one takes a lock, and three calls of the kernel for a
//! record of two dozen bytes, which is most of what such a record costs. Here, a program takes its
//! bytes by one compare-and-exchange on [`Positions::producer`], writes them in place, and then the
//! record's first word ([`crate::record::Head::word`]), which is 0 until then. The agent reads a
//! record in place, sets all of its bytes to 0 again, and then moves [`Positions::consumer`] past
//! it.
//!
//! Positions count bytes since the beginning, and are multiples of 8. A record that begins near the
//! end of a chunk goes on behind it: each chunk is longer by one record than what of it positions
//! count. So a record is never in two pieces.

use crate::record::MAX_LEN;

/// Bytes of a chunk that positions count. A power of two.
pub const CHUNK: u64 = 1 << 16;

/// A chunk: an element of the map `EVENTS`.
#[repr(C, align(8))]
pub struct Chunk(pub [u8; CHUNK as usize + MAX_LEN]);

/// How far the ring has been written and read: the first element of the map `STATE`. They are in
/// cache lines of their own.
#[repr(C)]
pub struct Positions {
    /// Where the next record will begin. Only programs write it.
    pub producer: u64,
    reserved: [u64; 15],
    /// Where the first unread record begins. Only the agent writes it.
    pub consumer: u64,
    /// Not 0 if the agent waits for the next record, however small. The program that tells it sets
    /// this to 0.
    pub waiting: u64,
    reserved_too: [u64; 14],
}

/// How many chunks a ring of so many bytes has: a power of two.
#[must_use]
pub const fn chunks(ring_bytes: u64) -> u32 {
    ring_bytes.div_ceil(CHUNK) as u32
}

/// In which chunk, and where in it, a position is in a ring of so many bytes: a power of two.
#[inline(always)]
#[must_use]
pub const fn place(position: u64, ring_bytes: u64) -> (u32, u64) {
    let within = position & (ring_bytes - 1);
    // So that the verifier sees that it is a multiple of 8.
    ((within / CHUNK) as u32, within & (CHUNK - 8))
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn layouts_are_those_of_the_maps() {
        assert_eq!(size_of::<Chunk>() % 8, 0);
        assert_eq!(offset_of!(Positions, consumer), 128);
        assert_eq!(size_of::<Positions>(), 256);
    }

    #[test]
    fn positions_go_round_and_round() {
        let (ring, small) = (1 << 18, 1 << 14);
        assert_eq!((chunks(ring), chunks(small)), (4, 1));
        assert_eq!(place(0, ring), (0, 0));
        assert_eq!(place(CHUNK + 8, ring), (1, 8));
        assert_eq!(place((1 << 18) + 3 * CHUNK - 8, ring), (2, CHUNK - 8));
        assert_eq!(place((1 << 14) + 8, small), (0, 8));
    }

    /// No record is written over another one that is not read yet.
    #[test]
    fn records_of_a_full_ring_do_not_overlap() {
        let ring = 1 << 17;
        // By word of 8 bytes; 0 is nobody's.
        let mut owners = [[0_u16; (CHUNK as usize + MAX_LEN) / 8]; 2];
        let lengths = [24, MAX_LEN, 136, 4_000, 72];
        let first = 8 * 1_001;
        let mut position = first;
        for (record, len) in (1..).zip(lengths.into_iter().cycle()) {
            if position + len as u64 - first > ring {
                break;
            }
            let (chunk, at) = place(position, ring);
            for owner in &mut owners[chunk as usize][at as usize / 8..][..len / 8] {
                assert_eq!(core::mem::replace(owner, record), 0);
            }
            position += len as u64;
        }
        assert!(position - first > ring - MAX_LEN as u64);
    }
}
