//! Reads from a program's context, without a call.
//!
//! The kernel takes that at offsets only that are constants of the instruction. Here they are known
//! when the program is loaded, so there is an instruction for each, behind a comparison of constants:
//! the verifier drops all but one.

use core::arch::asm;
use core::ffi::c_void;

/// One branch for each offset.
macro_rules! at {
    ($load:ident, $context:expr, $offset:expr, $($at:literal)*) => {
        match $offset {
            $($at => $load::<$at>($context),)*
            _ => 0,
        }
    };
}

/// 8 bytes at a multiple of 8: enough for the 21 registers of x86-64's `struct pt_regs`, and for the
/// 34 of arm64's `struct user_pt_regs`.
#[inline(always)]
pub(crate) fn u64_at(context: *const c_void, offset: u64) -> u64 {
    at!(
        load_u64, context, offset,
        0 8 16 24 32 40 48 56 64 72 80 88 96 104 112 120 128 136 144 152 160 168 176 184 192 200
        208 216 224 232 240 248 256 264
    )
}

/// 4 bytes at a multiple of 4: enough for all fields of a tracepoint, which begin at 8.
#[inline(always)]
pub(crate) fn u32_at(context: *const c_void, offset: u64) -> u32 {
    at!(
        load_u32, context, offset,
        8 12 16 20 24 28 32 36 40 44 48 52 56 60 64 68 72 76 80 84 88 92 96 100 104 108 112 116 120
        124 128 132 136 140 144 148 152 156 160
    )
}

/// A byte, anywhere that [`u32_at`] reads.
#[inline(always)]
pub(crate) fn u8_at(context: *const c_void, offset: u64) -> u8 {
    let word = u32_at(context, offset & !3);
    let shift = 8 * (offset as u32 & 3);
    (u32::from_le(word) >> shift) as u8
}

#[inline(always)]
fn load_u64<const OFFSET: u32>(context: *const c_void) -> u64 {
    let value: u64;
    // SAFETY: it reads from the program's context, or the kernel does not take the program.
    unsafe {
        asm!(
            "{value} = *(u64 *)({context} + {offset})",
            value = out(reg) value,
            context = in(reg) context,
            offset = const OFFSET,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    value
}

#[inline(always)]
fn load_u32<const OFFSET: u32>(context: *const c_void) -> u32 {
    let value: u64;
    // SAFETY: as above.
    unsafe {
        asm!(
            "{value} = *(u32 *)({context} + {offset})",
            value = out(reg) value,
            context = in(reg) context,
            offset = const OFFSET,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    value as u32
}
