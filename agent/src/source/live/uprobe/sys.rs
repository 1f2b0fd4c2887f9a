//! The system calls behind uprobes. aya 0.14 offers neither uprobe_multi nor the reference counters
//! of perf's uprobes.

use std::ffi::{CStr, c_long};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use aya_obj::generated::{
    bpf_attach_type::{BPF_PERF_EVENT, BPF_TRACE_UPROBE_MULTI},
    bpf_cmd::{BPF_LINK_CREATE, BPF_PROG_LOAD},
    bpf_prog_type::BPF_PROG_TYPE_KPROBE,
};

use super::{Pid, Site};

/// What `BPF_PROG_LOAD` takes: `union bpf_attr` of include/uapi/linux/bpf.h, as far as it is used.
#[derive(Default)]
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// What `BPF_LINK_CREATE` takes for `BPF_TRACE_UPROBE_MULTI`.
#[derive(Default)]
#[repr(C)]
struct MultiLink {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    link_flags: u32,
    path: u64,
    offsets: u64,
    ref_ctr_offsets: u64,
    cookies: u64,
    count: u32,
    flags: u32,
    pid: u32,
    padding: u32,
}

/// What `BPF_LINK_CREATE` takes for `BPF_PERF_EVENT`.
#[derive(Default)]
#[repr(C)]
struct PerfLink {
    prog_fd: u32,
    event_fd: u32,
    attach_type: u32,
    link_flags: u32,
}

/// `struct perf_event_attr` of include/uapi/linux/perf_event.h, up to `PERF_ATTR_SIZE_VER1`.
#[derive(Default)]
#[repr(C)]
struct PerfEventAttr {
    event_type: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    uprobe_path: u64,
    probe_offset: u64,
}

const _: () = assert!(size_of::<ProgLoad>() == 72 && offset_of!(ProgLoad, prog_name) == 48);
const _: () = assert!(size_of::<MultiLink>() == 64 && offset_of!(MultiLink, count) == 48);
const _: () = assert!(size_of::<PerfLink>() == 16);
const _: () = assert!(size_of::<PerfEventAttr>() == 72);

/// What a program is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Multi,
    Perf,
}

/// Loads a program of these instructions. What the verifier says is written to `log`, unless that is empty.
pub(super) fn load(
    name: &str,
    license: &CStr,
    words: &[u64],
    purpose: Purpose,
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_KPROBE as u32,
        insn_cnt: len(words),
        insns: address(words.as_ptr()),
        license: address(license.as_ptr()),
        expected_attach_type: match purpose {
            Purpose::Multi => BPF_TRACE_UPROBE_MULTI as u32,
            Purpose::Perf => 0,
        },
        ..ProgLoad::default()
    };
    // The last byte stays 0.
    for (to, from) in attr.prog_name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    if !log.is_empty() {
        (attr.log_level, attr.log_size) = (1, len(log));
        attr.log_buf = address(log.as_mut_ptr());
    }
    bpf(BPF_PROG_LOAD as c_long, &attr)
}

/// Attaches a program to a place of a file, in one process.
pub(super) fn attach_multi(
    program: BorrowedFd<'_>,
    path: &CStr,
    site: Site,
    pid: Pid,
) -> io::Result<OwnedFd> {
    let (offset, counter) = (site.offset.0, site.counter());
    let attr = MultiLink {
        prog_fd: number(program),
        attach_type: BPF_TRACE_UPROBE_MULTI as u32,
        path: address(path.as_ptr()),
        offsets: address(&raw const offset),
        ref_ctr_offsets: address(&raw const counter),
        count: 1,
        pid: pid.0,
        ..MultiLink::default()
    };
    bpf(BPF_LINK_CREATE as c_long, &attr)
}

/// Makes an event of each time that a process comes to a place of a file. `pmu` is the type of the
/// event source `uprobe`.
pub(super) fn open_event(pmu: u32, path: &CStr, site: Site, pid: Pid) -> io::Result<OwnedFd> {
    let attr = PerfEventAttr {
        event_type: pmu,
        size: len(&[0_u8; size_of::<PerfEventAttr>()]),
        // `ref_ctr_offset` of /sys/bus/event_source/devices/uprobe/format.
        config: site.counter() << 32,
        // Each of them; there is nobody to be woken up.
        sample_period: 1,
        wakeup_events: 1,
        uprobe_path: address(path.as_ptr()),
        probe_offset: site.offset.0,
        ..PerfEventAttr::default()
    };
    let any_cpu: c_long = -1;
    let no_group: c_long = -1;
    // SAFETY: `attr` is as long as its field `size` says, and the path it points to lives longer
    // than the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            ptr::from_ref(&attr),
            c_long::from(pid.0),
            any_cpu,
            no_group,
            c_long::from(PERF_FLAG_FD_CLOEXEC),
        )
    };
    owned(fd)
}

/// Runs a program for each event.
pub(super) fn attach_event(program: BorrowedFd<'_>, event: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attr = PerfLink {
        prog_fd: number(program),
        event_fd: number(event),
        attach_type: BPF_PERF_EVENT as u32,
        ..PerfLink::default()
    };
    bpf(BPF_LINK_CREATE as c_long, &attr)
}

const PERF_FLAG_FD_CLOEXEC: u32 = 1 << 3;

/// bpf(2), for commands that return a file.
fn bpf<T>(command: c_long, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: all callers give a command and what it takes, whose addresses are of memory that
    // lives longer than the call, and is as long as the lengths beside them say.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attr), size_of::<T>()) };
    owned(fd)
}

fn owned(fd: c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).ok().filter(|&fd| fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

fn len<T>(slice: &[T]) -> u32 {
    u32::try_from(slice.len()).unwrap_or(u32::MAX)
}
