//! What the programs are told at load time.

use core::ops::RangeInclusive;

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

/// Configuration of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A part of [`Config`] that fits a constant of 64 bits. Its names come in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "they have the names that they have in Config")]
pub enum Setting {
    PacketLimit,
    KeyLimit,
    Upcalls,
    SkbData,
    RingBytes,
    WakeBytes,
    DpName,
    DevName,
    Skbaddr,
    Len,
    DataLen,
    UpcallCmd,
    DatapathLow,
    DatapathHigh,
    PortLow,
    PortHigh,
}

impl Setting {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 16] = [
        Self::PacketLimit,
        Self::KeyLimit,
        Self::Upcalls,
        Self::SkbData,
        Self::RingBytes,
        Self::WakeBytes,
        Self::DpName,
        Self::DevName,
        Self::Skbaddr,
        Self::Len,
        Self::DataLen,
        Self::UpcallCmd,
        Self::DatapathLow,
        Self::DatapathHigh,
        Self::PortLow,
        Self::PortHigh,
    ];
}

impl Config {
    /// A part of it, as the constant that it is to the programs.
    #[must_use]
    pub fn get(&self, setting: Setting) -> u64 {
        match setting {
            Setting::PacketLimit => self.packet_limit.into(),
            Setting::KeyLimit => self.key_limit.into(),
            Setting::Upcalls => self.upcalls.into(),
            Setting::SkbData => self.skb_data.into(),
            Setting::RingBytes => self.ring_bytes.into(),
            Setting::WakeBytes => self.wake_bytes.into(),
            Setting::DpName => self.tracepoint.dp_name.into(),
            Setting::DevName => self.tracepoint.dev_name.into(),
            Setting::Skbaddr => self.tracepoint.skbaddr.into(),
            Setting::Len => self.tracepoint.len.into(),
            Setting::DataLen => self.tracepoint.data_len.into(),
            Setting::UpcallCmd => self.tracepoint.upcall_cmd.into(),
            Setting::DatapathLow => halves(&self.datapath).0,
            Setting::DatapathHigh => halves(&self.datapath).1,
            Setting::PortLow => halves(&self.port).0,
            Setting::PortHigh => halves(&self.port).1,
        }
    }
}

/// A name as the two words that it is in memory.
#[inline(always)]
#[must_use]
pub const fn halves(name: &[u8; 16]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *name;
    (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_two_words() {
        assert!(MAX_CAPTURE.is_power_of_two());
        let name = *b"ovs-system\0\0\0\0\0\0";
        let (low, high) = halves(&name);
        assert_eq!([low.to_ne_bytes(), high.to_ne_bytes()].concat(), name);
    }
}
