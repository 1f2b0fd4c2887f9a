//! Events on their way into the ring buffer.

use core::arch::asm;
use core::ffi::c_void;
use core::ptr;

use aya_ebpf::helpers::generated::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_kernel,
    bpf_probe_read_user, bpf_probe_read_user_str,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use upspan_ebpf::record::{DatapathName, Head, Introduction, MAX_BYTES, kind, word};

use crate::atomic::{exchange, fetch_add, store_release};
use crate::ring;
use crate::state::{self, Cpu, Thread};

/// Records for which there was no room, by kind.
#[map]
static LOST: Array<u64> = Array::with_max_entries(kind::COUNT, 0);

/// An event that happens now.
pub(crate) struct Event {
    kind: u8,
    cpu: *mut Cpu,
    number: u32,
    pub(crate) ts: u64,
    task: u64,
    thread: *mut Thread,
    introduces: bool,
}

/// The record of an event, of whose body only the place is known.
pub(crate) struct Record {
    start: *mut u8,
    body: *mut u8,
    word: u64,
}

impl Event {
    #[inline(always)]
    pub(crate) fn now(kind: u8) -> Option<Self> {
        let (number, cpu) = state::cpu()?;
        // SAFETY: the helpers have no preconditions.
        let (ts, task) = unsafe { (bpf_ktime_get_ns(), bpf_get_current_pid_tgid()) };
        let thread = Cpu::thread(cpu, task as u32);
        let introduces = !Thread::is_known(thread, task as u32, ts);
        Some(Self { kind, cpu, number, ts, task, thread, introduces })
    }

    /// Whether the agent has to be told this name of a datapath.
    #[inline(always)]
    pub(crate) fn names(&self, datapath: u64) -> bool {
        self.introduces || !Thread::is_datapath_known(self.thread, datapath)
    }

    /// Room for a record with so many bytes behind its head; a lost event is counted.
    #[inline(always)]
    pub(crate) fn reserve(&self, rest: u64) -> Option<Record> {
        let mut before = size_of::<Head>() as u64;
        if self.introduces {
            before += size_of::<Introduction>() as u64;
        }
        let len = (before + rest + 7) & !7;
        let Some(start) = ring::reserve(len) else {
            count_lost(self.cpu, self.kind);
            return None;
        };
        let lost = take_lost(self.cpu);
        // SAFETY: there is room for it; the word is written when the rest is.
        unsafe {
            let head = start.cast::<Head>();
            (*head).ts = self.ts;
            (*head).tid = self.task as u32;
            (*head).cpu = self.number as u16;
            (*head).kind = self.kind;
            (*head).introduces = self.introduces.into();
            if self.introduces {
                let introduction = start.add(size_of::<Head>()).cast::<Introduction>();
                (*introduction).pid = (self.task >> 32) as u32;
                (*introduction).reserved = 0;
                bpf_get_current_comm((&raw mut (*introduction).comm).cast(), 16);
            }
            Some(Record { start, body: start.add(before as usize), word: word(len, lost) })
        }
    }

    /// Hands the record over, all of which is written.
    #[inline(always)]
    pub(crate) fn commit(&self, record: &Record) {
        // SAFETY: the record is this program's until then.
        unsafe { store_release(record.start.cast(), record.word) };
        // Only now: a program that interrupted this one has introduced its thread itself.
        if self.introduces {
            Thread::is_introduced(self.thread, self.task as u32, self.ts);
        }
    }

    /// As [`Event::commit`], of a record that named a datapath.
    #[inline(always)]
    pub(crate) fn commit_named(&self, record: &Record, datapath: u64) {
        self.commit(record);
        Thread::is_datapath_named(self.thread, datapath);
    }

    /// An event that is nothing but that.
    #[inline(always)]
    pub(crate) fn emit(kind: u8) {
        if let Some(event) = Self::now(kind)
            && let Some(record) = event.reserve(0)
        {
            event.commit(&record);
        }
    }
}

impl Record {
    /// Where the body is.
    #[inline(always)]
    pub(crate) fn body<B>(&self) -> *mut B {
        self.body.cast()
    }

    /// Reads from the kernel's memory to behind the body; returns how much that was.
    #[inline(always)]
    pub(crate) fn kernel_bytes(&self, at: usize, from: u64, len: u64) -> u64 {
        let len = bounded(len, MAX_BYTES.into());
        // SAFETY: the helper checks the source, and the verifier the destination.
        let failed = unsafe {
            bpf_probe_read_kernel(self.body.add(at).cast(), len as u32, from as *const c_void)
        };
        if failed == 0 { len } else { 0 }
    }

    /// Reads from the process's memory to behind the body; returns how much that was.
    #[inline(always)]
    pub(crate) fn user_bytes(&self, at: usize, from: u64, len: u64) -> u64 {
        let len = bounded(len, MAX_BYTES.into());
        // SAFETY: the helper checks the source, and the verifier the destination.
        let failed = unsafe {
            bpf_probe_read_user(self.body.add(at).cast(), len as u32, from as *const c_void)
        };
        if failed == 0 { len } else { 0 }
    }

    /// Reads a name from the process's memory to behind the body.
    #[inline(always)]
    pub(crate) fn user_name(&self, at: usize, from: u64) {
        let size = size_of::<DatapathName>() as u32;
        // SAFETY: the helper checks the source; what a failed one leaves is an empty name.
        unsafe {
            let to = self.body.add(at);
            bpf_probe_read_user_str(to.cast(), size, from as *const c_void);
        }
    }
}

/// At most `limit`. The compiler must not learn anything of the result's range: it would drop the
/// very comparison that the kernel's verifier learns it from.
#[inline(always)]
pub(crate) fn bounded(len: u64, limit: u64) -> u64 {
    let mut len = len;
    // Not an empty one: the kernel wants each instruction to have one line of source at most.
    // SAFETY: it moves a register to itself.
    unsafe { asm!("{0} = {0}", inout(reg) len, options(nomem, nostack, preserves_flags)) };
    if len > limit { limit } else { len }
}

/// Leaves an event out that cannot be made a record of: as if there had been no room for it.
#[inline(always)]
pub(crate) fn lose(kind: u8) {
    if let Some((_, cpu)) = state::cpu() {
        count_lost(cpu, kind);
    }
}

#[inline(always)]
fn count_lost(cpu: *mut Cpu, kind: u8) {
    let Some(lost) = LOST.get_ptr_mut(kind.into()) else { return };
    // SAFETY: the pointers are to the maps' elements.
    unsafe {
        fetch_add(lost, 1);
        fetch_add(&raw mut (*cpu).lost, 1);
    }
}

/// How many events of this CPU were lost, which no other record says.
#[inline(always)]
fn take_lost(cpu: *mut Cpu) -> u32 {
    // SAFETY: the pointer is to the map's element.
    unsafe {
        let lost = &raw mut (*cpu).lost;
        if ptr::read_volatile(lost) == 0 { 0 } else { exchange(lost, 0) as u32 }
    }
}
