//! Processors whose registers a uprobe's program can be told to read.

use std::fmt;

/// The processor that a file was built for, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// x86-64: `EM_X86_64`.
    X86_64,
    /// aarch64: `EM_AARCH64`.
    Aarch64,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86-64",
            Self::Aarch64 => "aarch64",
        })
    }
}

/// A general-purpose register, as the kernel saves it when a uprobe is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Register(u16);

impl Register {
    /// The register that is saved at this byte of `struct pt_regs`.
    pub(super) const fn at(offset: u16) -> Self {
        Self(offset)
    }

    /// Where its 8 bytes are, in bytes from the start of the structure that a uprobe's program
    /// gets: `struct pt_regs` of arch/x86/include/asm/ptrace.h, or `struct user_pt_regs` of
    /// arch/arm64/include/uapi/asm/ptrace.h, with which arm64's `struct pt_regs` begins.
    #[must_use]
    pub const fn offset(self) -> u16 {
        self.0
    }
}
