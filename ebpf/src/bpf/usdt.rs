//! Arguments of USDT probes, read where the probe's note says.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{
    bpf_get_attach_cookie, bpf_probe_read_kernel, bpf_probe_read_user,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::programs::ProbeContext;
use upspan_ebpf::argument::{Argument, MAX_PLACES, Place, location};

/// The arguments of each place, by the cookie that it was attached with.
#[map]
static PLACES: Array<Place> = Array::with_max_entries(MAX_PLACES, 0);

/// The arguments of the probe that was hit.
pub(crate) struct Arguments<'a> {
    regs: *mut c_void,
    place: &'a Place,
}

impl Arguments<'_> {
    pub(crate) fn of(ctx: &ProbeContext) -> Option<Self> {
        // SAFETY: the context is this program's own.
        let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
        Some(Self { regs: ctx.as_ptr(), place: PLACES.get(cookie as u32)? })
    }

    /// The value of an argument, extended to 64 bits.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<u64> {
        let argument = &self.place.arguments[index];
        let value = match argument.location {
            location::CONSTANT => return Some(argument.value as u64),
            location::REGISTER => self.register(argument.register)?,
            _ => self.memory(argument)?,
        };
        // Shifted up and down again, so that the sign or zeros fill it.
        let unused = 64 - 8 * u32::from(argument.size & 15);
        let high = value.wrapping_shl(unused);
        Some(if argument.signed == 0 {
            high.wrapping_shr(unused)
        } else {
            (high as i64).wrapping_shr(unused) as u64
        })
    }

    #[inline(always)]
    fn register(&self, offset: u16) -> Option<u64> {
        let mut value = 0_u64;
        // SAFETY: the helper checks the address.
        let failed = unsafe {
            let from = self.regs.cast::<u8>().add(usize::from(offset & 0x1ff));
            bpf_probe_read_kernel((&raw mut value).cast(), 8, from.cast())
        };
        (failed == 0).then_some(value)
    }

    #[inline(always)]
    fn memory(&self, argument: &Argument) -> Option<u64> {
        let mut address = self.register(argument.register)?.wrapping_add(argument.value as u64);
        if argument.location >= location::INDEXED {
            let index = self.register(argument.index)?;
            let index = match argument.location {
                location::INDEXED_LOW_UNSIGNED => u64::from(index as u32),
                location::INDEXED_LOW_SIGNED => i64::from(index as i32) as u64,
                _ => index,
            };
            address = address.wrapping_add(index.wrapping_shl(argument.shift.into()));
        }
        let mut value = 0_u64;
        let size = u32::from(argument.size & 15).min(8);
        // SAFETY: the helper checks the address; it is the user's.
        let failed =
            unsafe { bpf_probe_read_user((&raw mut value).cast(), size, address as *const c_void) };
        (failed == 0).then_some(value)
    }
}
