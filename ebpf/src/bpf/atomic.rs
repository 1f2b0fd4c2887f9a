//! Operations that the target's own atomic types do not have. All of them order memory.

use core::arch::asm;

/// Adds to `*place`, and returns what it was.
///
/// # Safety
///
/// `place` can be written to.
#[inline(always)]
pub(crate) unsafe fn fetch_add(place: *mut u64, count: u64) -> u64 {
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
pub(crate) unsafe fn exchange(place: *mut u64, new: u64) -> u64 {
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

/// Writes `*place`, after all that was written before.
///
/// # Safety
///
/// `place` can be written to.
#[inline(always)]
pub(crate) unsafe fn store_release(place: *mut u64, value: u64) {
    // SAFETY: by the caller.
    unsafe {
        // x86-64 does not reorder stores.
        #[cfg(bpf_target_arch = "x86_64")]
        asm!(
            "*(u64 *)({place} + 0) = {value}",
            place = in(reg) place,
            value = in(reg) value,
            options(nostack),
        );
        #[cfg(not(bpf_target_arch = "x86_64"))]
        exchange(place, value);
    }
}

/// Writes `*place` if it is `expected`. Returns what it was.
///
/// # Safety
///
/// `place` can be written to.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(place: *mut u64, expected: u64, new: u64) -> u64 {
    let mut value = expected;
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({place} + 0, r0, {new})",
            inout("r0") value,
            place = in(reg) place,
            new = in(reg) new,
            options(nostack),
        );
    }
    value
}
