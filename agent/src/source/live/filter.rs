//! What the programs leave out already in the kernel, where it costs least.

use std::str::FromStr;

use clap::ValueEnum;
use upspan_ebpf::config::upcalls;

/// Types of upcalls (`enum dpif_upcall_type` of OVS's lib/dpif.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum UpcallTypes {
    /// All of them.
    #[default]
    All,
    /// Flow-table misses.
    Miss,
    /// The action userspace: sFlow, IPFIX, slow path, controller.
    Action,
}

impl UpcallTypes {
    /// As the programs want it.
    pub(super) const fn bits(self) -> u32 {
        match self {
            Self::All => upcalls::MISS | upcalls::ACTION,
            Self::Miss => upcalls::MISS,
            Self::Action => upcalls::ACTION,
        }
    }
}

/// A name of a datapath or port, as the kernel has it: 1 to 15 bytes (`IFNAMSIZ` is 16), without
/// NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; 16]);

/// What is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// The kernel has no such long names.
    #[error("it has {0} bytes, but names of datapaths and ports have 15 at most")]
    TooLong(usize),
    /// It has a NUL in it.
    #[error("it has a NUL in it")]
    Nul,
}

impl Name {
    /// Padded with NUL, as the programs want it.
    pub(super) const fn padded(self) -> [u8; 16] {
        self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Takes vswitchd's name of a datapath, too: with the prefix `system@`.
    fn from_str(name: &str) -> Result<Self, NameError> {
        let name = name.strip_prefix("system@").unwrap_or(name).as_bytes();
        let mut padded = [0; 16];
        match name.len() {
            0 => return Err(NameError::Empty),
            1..16 => padded[..name.len()].copy_from_slice(name),
            len => return Err(NameError::TooLong(len)),
        }
        if name.contains(&0) { Err(NameError::Nul) } else { Ok(Self(padded)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_kernel() {
        assert_eq!("ovs-system".parse(), Ok(Name(*b"ovs-system\0\0\0\0\0\0")));
        assert_eq!("system@ovs-system".parse::<Name>(), "ovs-system".parse());
        assert_eq!("123456789012345".parse(), Ok(Name(*b"123456789012345\0")));
        for (wrong, error) in [
            ("", NameError::Empty),
            ("1234567890123456", NameError::TooLong(16)),
            ("a\0b", NameError::Nul),
        ] {
            assert_eq!(wrong.parse::<Name>(), Err(error), "{wrong:?}");
        }
    }
}
