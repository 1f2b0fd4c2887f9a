//! What a process has in its memory.

use std::fs;
use std::os::unix::fs::FileExt;

use upspan::source::live::usdt::address::FileOffset;
use upspan::source::live::usdt::probes::Probe;
use upspan::source::live::usdt::process::Pid;

/// The bytes that a process has where it maps `offset` of a probe's file.
pub(crate) fn at<const LEN: usize>(pid: Pid, probe: &Probe, offset: FileOffset) -> [u8; LEN] {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    let path = probe.file.path().to_str().expect("it is a plain path");
    // Data may be mapped twice; it is in the last of them.
    let address = maps.lines().rev().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16));
        let (start, end) = (start.ok()?, end.ok()?);
        let begin = u64::from_str_radix(fields.nth(1)?, 16).ok()?;
        let within = offset.0.checked_sub(begin)?;
        (line.ends_with(path) && within < end - start).then_some(start + within)
    });
    let mut bytes = [0; LEN];
    let memory = fs::File::open(format!("/proc/{pid}/mem")).expect("root may read it");
    memory.read_exact_at(&mut bytes, address.expect("it is mapped")).expect("it is there");
    bytes
}

/// Whether the process has a breakpoint there, or else what was compiled.
pub(crate) fn is_probed(pid: Pid, probe: &Probe) -> bool {
    let len = if cfg!(target_arch = "x86_64") { 1 } else { 4 };
    let now = &at::<4>(pid, probe, probe.offset)[..len];
    let mut compiled = [0; 4];
    probe.file.file().read_exact_at(&mut compiled, probe.offset.0).expect("it is in the file");
    now != &compiled[..len]
}

/// The value of the probe's semaphore.
pub(crate) fn semaphore(pid: Pid, probe: &Probe) -> u16 {
    u16::from_ne_bytes(at(pid, probe, probe.semaphore.expect("it has one")))
}
