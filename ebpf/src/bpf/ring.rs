//! Room in the ring buffer; see [`upspan_ebpf::ring`].

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_RB_FORCE_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, RingBuf};
use upspan_ebpf::ring::{Chunk, Positions, place};

use crate::atomic::{compare_exchange, exchange};
use crate::constant::setting;
use crate::state;

/// The records. The agent sets how many chunks there are.
#[map]
static EVENTS: Array<Chunk> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Wakes the agent up. What is in it says nothing.
#[map]
static DOORBELL: RingBuf = RingBuf::with_byte_size(4096, 0);

/// How often room is tried to be had before it is given up. Another CPU, or a program that
/// interrupts this one, had it each time.
const ATTEMPTS: u32 = 64;

/// Room for a record of `len` bytes, a multiple of 8; `None` if there is none.
#[inline(always)]
pub(crate) fn reserve(len: u64) -> Option<*mut u8> {
    let ring_bytes = setting!(RingBytes);
    let positions = state::positions()?;
    for _ in 0..ATTEMPTS {
        // SAFETY: the pointer is to the map's element.
        let (producer, start, consumer) = unsafe {
            let producer = &raw mut (*positions).producer;
            (
                producer,
                ptr::read_volatile(producer),
                ptr::read_volatile(&raw const (*positions).consumer),
            )
        };
        let end = start.wrapping_add(len);
        // Signed: where others have written and the agent has read in between, it has got ahead of
        // `start`, and the exchange fails.
        if end.wrapping_sub(consumer) as i64 > ring_bytes as i64 {
            return None;
        }
        // SAFETY: as above.
        if unsafe { compare_exchange(producer, start, end) } == start {
            let is_much = (start ^ end) & !(setting!(WakeBytes) - 1) != 0;
            if is_much || is_waited_for(positions) {
                wake();
            }
            let (chunk, at) = place(start, ring_bytes);
            let chunk = EVENTS.get_ptr_mut(chunk)?.cast::<u8>();
            // SAFETY: it is within the chunk, with room for the longest record behind it.
            return Some(unsafe { chunk.add(at as usize) });
        }
    }
    None
}

/// Whether the agent waits for a record, and no other program tells it. It says so before it looks
/// for the last time whether there is one.
#[inline(always)]
fn is_waited_for(positions: *mut Positions) -> bool {
    // SAFETY: the pointer is to the map's element.
    unsafe {
        let waiting = &raw mut (*positions).waiting;
        ptr::read_volatile(waiting) != 0 && exchange(waiting, 0) != 0
    }
}

fn wake() {
    let ring = (&raw const DOORBELL).cast_mut().cast::<c_void>();
    let mut knock = 1_u64;
    // SAFETY: the bytes are initialised. If there is no room, the agent was told often enough.
    unsafe { bpf_ringbuf_output(ring, (&raw mut knock).cast(), 8, BPF_RB_FORCE_WAKEUP.into()) };
}
