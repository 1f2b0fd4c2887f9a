//! What the programs are told at load time.

use core::ops::RangeInclusive;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Name of the programs' global variable that holds the [`Config`].
pub const CONFIG: &str = "CONFIG";

/// Most bytes of a packet or of a flow key that can be captured. A power of two.
pub const MAX_CAPTURE: u32 = 2048;

/// Where fields of a tracepoint may be that the programs read.
pub const FIELDS: RangeInclusive<u16> = 8..=160;

/// The value of [`Config::upcalls`] for one or both types of upcalls.
pub mod upcalls {
    /// Flow-table misses.
    pub const MISS: u32 = 1;
    /// The action `userspace`: sFlow, IPFIX, slow path, controller.
    pub const ACTION: u32 = 2;
}

/// Configuration of the programs; constants to the kernel's verifier.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Config {
    /// Most bytes of a packet that are captured; 1 to [`MAX_CAPTURE`].
    pub packet_limit: u32,
    /// Most bytes of a flow key that are captured; 1 to [`MAX_CAPTURE`].
    pub key_limit: u32,
    /// Types of upcalls that are captured: bits of [`upcalls`].
    pub upcalls: u32,
    /// Offset of `data` in the kernel's `struct sk_buff`.
    pub skb_data: u32,
    /// Size of the ring in bytes: a power of two.
    pub ring_bytes: u32,
    /// The agent is woken up each time that so many more bytes were written: a power of two.
    pub wake_bytes: u32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
    /// Where the tracepoint's fields are.
    pub tracepoint: TracepointFields,
    /// Name of the only datapath to capture, without the prefix `system@`, padded with NUL; empty
    /// for all.
    pub datapath: [u8; 16],
    /// Name of the only port to capture `dp_upcall`s of, padded with NUL; empty for all.
    pub port: [u8; 16],
}

/// Offsets in bytes of the fields of the tracepoint `openvswitch:ovs_dp_upcall`, from its file
/// `format` in tracefs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TracepointFields {
    /// `dp_name`, a `__data_loc`.
    pub dp_name: u16,
    /// `dev_name`, a `__data_loc`.
    pub dev_name: u16,
    /// `skbaddr`, a pointer.
    pub skbaddr: u16,
    /// `len`, an `unsigned int`.
    pub len: u16,
    /// `data_len`, an `unsigned int`.
    pub data_len: u16,
    /// `upcall_cmd`, a `u8`.
    pub upcall_cmd: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_has_no_padding() {
        assert_eq!(size_of::<TracepointFields>(), 12);
        assert_eq!(size_of::<Config>(), 72);
        assert!(MAX_CAPTURE.is_power_of_two());
    }
}
