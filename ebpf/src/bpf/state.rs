//! What is kept between two records: positions in the ring, and what concerns a CPU.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use upspan_ebpf::ring::Positions;

/// Threads of a CPU that are remembered. A power of two.
const THREADS: usize = 8;

/// How long the agent is taken to know of a thread, in nanoseconds. Names can change.
const KNOWN_FOR: u64 = 1_000_000_000;

/// First [`Positions`], then a [`Cpu`] for each. All in one place, as what is far apart costs more to
/// come by than to read. It is no array for each CPU, which takes a call to be looked up before Linux
/// 6.10. The agent sets its size.
#[map]
static STATE: Array<Positions> = Array::with_max_entries(1, BPF_F_MMAPABLE);

const _: () = assert!(size_of::<Cpu>() <= size_of::<Positions>());

/// The ring's.
#[inline(always)]
pub(crate) fn positions() -> Option<*mut Positions> {
    STATE.get_ptr_mut(0)
}

/// What concerns a CPU.
#[repr(C)]
pub(crate) struct Cpu {
    /// Events lost since the last record.
    pub(crate) lost: u64,
    /// When the latest `dp_upcall` was; 0 if it is not captured. `ovs_dp_upcall` runs with bottom
    /// halves disabled, so that none comes between its tracepoint and its return.
    pub(crate) latest_upcall: u64,
    threads: [Thread; THREADS],
}

/// A thread of which records were written on this CPU.
#[repr(C)]
pub(crate) struct Thread {
    /// Until when the agent knows it.
    until: u64,
    /// Where vswitchd's name of the datapath is that the agent knows; 0 for none.
    datapath: u64,
    tid: u64,
}

/// This CPU and its number.
#[inline(always)]
pub(crate) fn cpu() -> Option<(u32, *mut Cpu)> {
    // SAFETY: the helper has no preconditions.
    let number = unsafe { bpf_get_smp_processor_id() };
    Some((number, STATE.get_ptr_mut(number + 1)?.cast()))
}

impl Cpu {
    /// Where a thread is remembered, perhaps in place of another one.
    #[inline(always)]
    pub(crate) fn thread(this: *mut Self, tid: u32) -> *mut Thread {
        // SAFETY: it is within the array, and the pointer is to the map's element.
        unsafe { (&raw mut (*this).threads).cast::<Thread>().add(tid as usize & (THREADS - 1)) }
    }
}

impl Thread {
    /// Whether the agent knows this thread now.
    #[inline(always)]
    pub(crate) fn is_known(this: *const Self, tid: u32, now: u64) -> bool {
        // SAFETY: the pointer is to the map's element.
        unsafe { (*this).tid == u64::from(tid) && now < (*this).until }
    }

    /// Whether the agent knows this name of a datapath of the thread, which it knows.
    #[inline(always)]
    pub(crate) fn is_datapath_known(this: *const Self, datapath: u64) -> bool {
        // SAFETY: the pointer is to the map's element.
        unsafe { (*this).datapath == datapath }
    }

    /// The agent knows it from now on, as its record is in the ring.
    #[inline(always)]
    pub(crate) fn is_introduced(this: *mut Self, tid: u32, now: u64) {
        // SAFETY: the pointer is to the map's element.
        unsafe {
            (*this).tid = tid.into();
            (*this).datapath = 0;
            (*this).until = now + KNOWN_FOR;
        }
    }

    /// As [`Thread::is_introduced`], of a name of a datapath.
    #[inline(always)]
    pub(crate) fn is_datapath_named(this: *mut Self, datapath: u64) {
        // SAFETY: the pointer is to the map's element.
        unsafe { (*this).datapath = datapath };
    }
}
