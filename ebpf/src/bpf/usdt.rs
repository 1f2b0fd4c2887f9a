//! Arguments of USDT probes, read where the probe's note says.
//!
//! What it says are constants, so that of all that is here, the kernel keeps what the place's
//! arguments need.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::programs::ProbeContext;
use upspan_ebpf::argument::{Field, location};
use upspan_ebpf::constant::Constant;

use crate::constant::constant;
use crate::context;

/// A field of an argument.
macro_rules! field {
    ($argument:expr, $field:ident) => {
        constant!(Constant::Argument($argument, Field::$field))
    };
}

/// The arguments of the probe that was hit.
#[derive(Clone, Copy)]
pub(crate) struct Arguments {
    regs: *const c_void,
}

impl Arguments {
    #[inline(always)]
    pub(crate) fn of(ctx: &ProbeContext) -> Self {
        Self { regs: ctx.as_ptr() }
    }

    /// The value of an argument, extended to 64 bits; `None` if it cannot be read.
    #[inline(always)]
    pub(crate) fn get<const ARGUMENT: usize>(self) -> Option<u64> {
        let value = match field!(ARGUMENT, Location) {
            location::CONSTANT => return Some(field!(ARGUMENT, Value)),
            location::REGISTER => self.register(field!(ARGUMENT, Register)),
            _ => self.memory::<ARGUMENT>()?,
        };
        Some(extended::<ARGUMENT>(value))
    }

    /// Two arguments, the one after the other: by one look, if they are so in memory.
    #[inline(always)]
    pub(crate) fn get_both<const FIRST: usize, const SECOND: usize>(self) -> Option<(u64, u64)> {
        let are_neighbours = field!(FIRST, Location) == location::MEMORY
            && field!(SECOND, Location) == location::MEMORY
            && field!(FIRST, Register) == field!(SECOND, Register)
            && field!(FIRST, Value) + 8 == field!(SECOND, Value)
            && field!(FIRST, Size) == 8
            && field!(SECOND, Size) == 8;
        if !are_neighbours {
            return Some((self.get::<FIRST>()?, self.get::<SECOND>()?));
        }
        let mut values = [0_u64; 2];
        read_user((&raw mut values).cast(), 16, self.base::<FIRST>())?;
        Some((values[0], values[1]))
    }

    /// The register at this offset.
    #[inline(always)]
    fn register(self, offset: u64) -> u64 {
        context::u64_at(self.regs, offset)
    }

    #[inline(always)]
    fn base<const ARGUMENT: usize>(self) -> u64 {
        self.register(field!(ARGUMENT, Register)).wrapping_add(field!(ARGUMENT, Value))
    }

    #[inline(always)]
    fn memory<const ARGUMENT: usize>(self) -> Option<u64> {
        let mut address = self.base::<ARGUMENT>();
        let location = field!(ARGUMENT, Location);
        if location >= location::INDEXED {
            let index = self.register(field!(ARGUMENT, Index));
            let index = match location {
                location::INDEXED_LOW_UNSIGNED => u64::from(index as u32),
                location::INDEXED_LOW_SIGNED => i64::from(index as i32) as u64,
                _ => index,
            };
            address = address.wrapping_add(index.wrapping_shl(field!(ARGUMENT, Shift) as u32));
        }
        let mut value = 0_u64;
        let size = field!(ARGUMENT, Size);
        // In a way that the verifier sees.
        let size = if size > 8 { 8 } else { size };
        read_user((&raw mut value).cast(), size as u32, address)?;
        Some(value)
    }
}

/// Copies the sign, or zeros where there is none, to what of 64 bits is not the argument's.
#[inline(always)]
fn extended<const ARGUMENT: usize>(value: u64) -> u64 {
    let size = field!(ARGUMENT, Size);
    if size == 8 {
        return value;
    }
    let unused = 64_u32.wrapping_sub(8 * size as u32);
    let high = value.wrapping_shl(unused);
    if field!(ARGUMENT, Signed) == 0 {
        high.wrapping_shr(unused)
    } else {
        (high as i64).wrapping_shr(unused) as u64
    }
}

#[inline(always)]
fn read_user(to: *mut c_void, size: u32, from: u64) -> Option<()> {
    // SAFETY: the helper checks the source; the destination is on the stack, and long enough.
    let failed = unsafe { bpf_probe_read_user(to, size, from as *const c_void) };
    (failed == 0).then_some(())
}
