//! Records on their way into the ring buffer.

use core::arch::asm;
use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns,
    bpf_probe_read_kernel, bpf_probe_read_user, bpf_probe_read_user_str, bpf_ringbuf_output,
    bpf_ringbuf_query,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use upspan_ebpf::config::{Config, MAX_CAPTURE};
use upspan_ebpf::record::{Head, MAX_LEN, RecvUpcall, kind};

/// What the agent has set at load time.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config {
    packet_limit: 0,
    key_limit: 0,
    upcalls: 0,
    skb_data: 0,
    wake_at: 0,
    tracepoint: upspan_ebpf::config::TracepointFields {
        dp_name: 0,
        dev_name: 0,
        skbaddr: 0,
        len: 0,
        data_len: 0,
        upcall_cmd: 0,
    },
    datapath: [0; 16],
    port: [0; 16],
};

/// Reads a field of [`CONFIG`]. Volatile, as the value that is compiled in is not the one at run
/// time.
macro_rules! config {
    ($field:ident) => {
        $crate::emit::read_config(&raw const $crate::emit::CONFIG.$field)
    };
}
pub(crate) use config;

#[inline(always)]
pub(crate) fn read_config<T>(field: *const T) -> T {
    // SAFETY: it is a field of [`CONFIG`], which is initialised and never written to.
    unsafe { ptr::read_volatile(field) }
}

/// The records. The agent sets its size.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

/// Records for which there was no room, by kind.
#[map]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(kind::COUNT, 0);

/// The number of the next record.
#[map]
static SEQUENCE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Where records are put together: one for the program that runs, and others for those that
/// interrupt it, or that run on this CPU while it is preempted.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(SCRATCHES, 0);
const SCRATCHES: u32 = 4;

#[repr(C)]
struct Scratch {
    busy: u64,
    bytes: [u8; MAX_LEN],
}

/// A record that is being put together.
pub(crate) struct Draft<B> {
    scratch: *mut Scratch,
    body: *mut B,
    packet_captured: u64,
    key_captured: u64,
}

impl<B> Draft<B> {
    const BODY_END: usize = size_of::<Head>() + size_of::<B>();

    /// `None` if all of this CPU's scratches are busy; that counts as lost.
    #[inline(always)]
    pub(crate) fn new(kind: u32, body: B) -> Option<Self> {
        let head = head(kind)?;
        let Some(scratch) = free_scratch() else {
            count_lost(kind);
            return None;
        };
        // SAFETY: the scratch is this program's until it is set free, and has room for both.
        unsafe {
            let bytes = (&raw mut (*scratch).bytes).cast::<u8>();
            bytes.cast::<Head>().write(head);
            let place = bytes.add(size_of::<Head>()).cast::<B>();
            place.write(body);
            Some(Self { scratch, body: place, packet_captured: 0, key_captured: 0 })
        }
    }

    #[inline(always)]
    fn bytes(&self) -> *mut u8 {
        // SAFETY: the scratch is this program's.
        unsafe { (&raw mut (*self.scratch).bytes).cast() }
    }

    #[inline(always)]
    fn head(&self) -> *mut Head {
        self.bytes().cast()
    }

    /// When the event was: [`Head::ts`].
    #[inline(always)]
    pub(crate) fn ts(&self) -> u64 {
        // SAFETY: the head was written when the draft was made.
        unsafe { (*self.head()).ts }
    }

    /// Appends as much of a packet in the kernel's memory as is wanted.
    #[inline(always)]
    pub(crate) fn kernel_packet(&mut self, packet: u64, len: u64) {
        let len = bounded(len, config!(packet_limit));
        // SAFETY: the helper checks the source; the destination has room for [`MAX_CAPTURE`].
        let failed = unsafe {
            let to = self.bytes().add(Self::BODY_END);
            bpf_probe_read_kernel(to.cast(), len as u32, packet as *const c_void)
        };
        self.packet_captured = if failed == 0 { len } else { 0 };
    }

    /// Appends as much of a packet in the process's memory as is wanted.
    #[inline(always)]
    pub(crate) fn user_packet(&mut self, packet: u64, len: u64) {
        self.packet_captured =
            self.read_user(Self::BODY_END as u64, packet, len, config!(packet_limit));
    }

    #[inline(always)]
    fn read_user(&self, offset: u64, from: u64, len: u64, limit: u32) -> u64 {
        let len = bounded(len, limit);
        // SAFETY: the helper checks the source; the destination has room for twice [`MAX_CAPTURE`].
        let failed = unsafe {
            let to = self.bytes().add(offset as usize);
            bpf_probe_read_user(to.cast(), len as u32, from as *const c_void)
        };
        if failed == 0 { len } else { 0 }
    }

    /// Sends the record off.
    #[inline(always)]
    pub(crate) fn emit(self) {
        let len = Self::BODY_END as u64
            + bounded(self.packet_captured, MAX_CAPTURE)
            + bounded(self.key_captured, MAX_CAPTURE);
        // SAFETY: the scratch is this program's until it is set free.
        unsafe {
            let head = self.head();
            (*head).packet_captured = self.packet_captured as u16;
            (*head).key_captured = self.key_captured as u16;
            output((*head).kind, head.cast(), len);
            ptr::write_volatile(&raw mut (*self.scratch).busy, 0);
        }
    }
}

impl Draft<RecvUpcall> {
    /// Reads vswitchd's name of the datapath.
    #[inline(always)]
    pub(crate) fn user_name(&mut self, name: u64) {
        // SAFETY: the helper checks the source; what a failed one leaves is an empty name.
        unsafe {
            let to = &raw mut (*self.body).datapath;
            bpf_probe_read_user_str(to.cast(), 32, name as *const c_void);
        }
    }

    /// Appends as much of a flow key in the process's memory as is wanted. The packet comes first.
    #[inline(always)]
    pub(crate) fn user_key(&mut self, key: u64, len: u64) {
        let offset = Self::BODY_END as u64 + bounded(self.packet_captured, MAX_CAPTURE);
        self.key_captured = self.read_user(offset, key, len, config!(key_limit));
    }
}

/// Sends off a record that has a head only.
#[inline(always)]
pub(crate) fn emit_head(kind: u32) {
    if let Some(head) = head(kind) {
        output(kind, (&raw const head).cast(), size_of::<Head>() as u64);
    }
}

/// The head of an event that happens now.
#[inline(always)]
fn head(kind: u32) -> Option<Head> {
    let seq = SEQUENCE.get_ptr_mut(0)?;
    // SAFETY: the helpers have no preconditions, and the pointer is to this CPU's element.
    unsafe {
        let seq = fetch_add(seq, 1) as u32;
        let task = bpf_get_current_pid_tgid();
        let mut head = Head {
            ts: bpf_ktime_get_ns(),
            seq,
            kind,
            cpu: bpf_get_smp_processor_id(),
            pid: (task >> 32) as u32,
            tid: task as u32,
            packet_captured: 0,
            key_captured: 0,
            comm: [0; 16],
        };
        bpf_get_current_comm((&raw mut head.comm).cast(), 16);
        Some(head)
    }
}

#[inline(always)]
fn free_scratch() -> Option<*mut Scratch> {
    for index in 0..SCRATCHES {
        let scratch = SCRATCH.get_ptr_mut(index)?;
        // SAFETY: the pointer is to this CPU's element of the map.
        let was_busy = unsafe { exchange(&raw mut (*scratch).busy, 1) };
        if was_busy == 0 {
            return Some(scratch);
        }
    }
    None
}

/// At most `limit` and [`MAX_CAPTURE`]. The compiler must not learn anything of the result's range:
/// it would drop the very comparison that the kernel's verifier learns it from.
#[inline(always)]
fn bounded(len: u64, limit: u32) -> u64 {
    let mut len = len;
    let limit = u64::from(limit);
    if len > limit {
        len = limit;
    }
    // Not an empty one: the kernel wants each instruction to have one line of source at most.
    // SAFETY: it moves a register to itself.
    unsafe { asm!("{0} = {0}", inout(reg) len, options(nomem, nostack, preserves_flags)) };
    if len > u64::from(MAX_CAPTURE) { u64::from(MAX_CAPTURE) } else { len }
}

#[inline(always)]
fn output(kind: u32, record: *const u8, len: u64) {
    let ring = (&raw const EVENTS).cast_mut().cast::<c_void>();
    // SAFETY: the record is initialised that far, but for what earlier ones left between fields.
    let failed = unsafe {
        let waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA.into());
        bpf_ringbuf_output(
            ring,
            record.cast_mut().cast(),
            len,
            if is_milestone(waiting, len) { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }.into(),
        )
    };
    if failed != 0 {
        count_lost(kind);
    }
}

/// Whether a record of `len` bytes takes what waits in the ring past a multiple of
/// [`Config::wake_at`]. A wake-up may cost more than all the rest, so that it is not for each record
/// beyond the first; and where two CPUs miss a multiple together, there is a next one.
#[inline(always)]
fn is_milestone(waiting: u64, len: u64) -> bool {
    let wake_at = u64::from(config!(wake_at));
    waiting % wake_at.max(1) + len + RECORD_HEADER >= wake_at
}

/// `BPF_RINGBUF_HDR_SZ` of include/uapi/linux/bpf.h.
const RECORD_HEADER: u64 = 8;

/// Leaves an event out that cannot be made a record of: as if there had been no room for it.
#[inline(always)]
pub(crate) fn lose(kind: u32) {
    if let Some(sequence) = SEQUENCE.get_ptr_mut(0) {
        // SAFETY: the pointer is to this CPU's element of the map.
        unsafe { fetch_add(sequence, 1) };
    }
    count_lost(kind);
}

#[inline(always)]
fn count_lost(kind: u32) {
    if let Some(lost) = LOST.get_ptr_mut(kind) {
        // SAFETY: the pointer is to this CPU's element of the map.
        unsafe { fetch_add(lost, 1) };
    }
}

/// Adds to `*place`, and returns what it was. The target's own atomic types cannot.
///
/// # Safety
///
/// `place` can be written to.
#[inline(always)]
unsafe fn fetch_add(place: *mut u64, count: u64) -> u64 {
    let mut value = count;
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "{value} = atomic_fetch_add((u64 *)({place} + 0), {value})",
            value = inout(reg) value,
            place = in(reg) place,
            options(nostack),
        );
    }
    value
}

/// Writes `*place`, and returns what it was.
///
/// # Safety
///
/// `place` can be written to.
#[inline(always)]
unsafe fn exchange(place: *mut u64, new: u64) -> u64 {
    let mut value = new;
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "{value} = xchg_64({place} + 0, {value})",
            value = inout(reg) value,
            place = in(reg) place,
            options(nostack),
        );
    }
    value
}
