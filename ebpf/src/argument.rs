//! Where a USDT probe finds its arguments.
//!
//! A program is loaded for each place of a probe, with that as constants (see
//! [`crate::constant`]).

/// Most arguments of a probe that are read: `recv_upcall` has six.
pub const MAX_ARGUMENTS: usize = 6;

/// Where an argument is: the value of [`Field::Location`].
pub mod location {
    /// Nowhere: it is [`super::Field::Value`].
    pub const CONSTANT: u64 = 0;
    /// In a register.
    pub const REGISTER: u64 = 1;
    /// In memory at a register, plus [`super::Field::Value`].
    pub const MEMORY: u64 = 2;
    /// As [`MEMORY`], plus the index register shifted left by [`super::Field::Shift`].
    pub const INDEXED: u64 = 3;
    /// As [`INDEXED`], of whose index only the lower 32 bits count, without sign.
    pub const INDEXED_LOW_UNSIGNED: u64 = 4;
    /// As [`INDEXED`], of whose index only the lower 32 bits count, with sign.
    pub const INDEXED_LOW_SIGNED: u64 = 5;
}

/// What is known of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// See [`location`].
    Location,
    /// The constant, or the displacement.
    Value,
    /// Offset in bytes of the register in `struct pt_regs`.
    Register,
    /// Offset in bytes of the index register in `struct pt_regs`.
    Index,
    /// By how many bits the index register is shifted left: 0 to 4.
    Shift,
    /// Size in bytes: 1, 2, 4 or 8.
    Size,
    /// 1 if it is signed, else 0.
    Signed,
}

impl Field {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Location,
        Self::Value,
        Self::Register,
        Self::Index,
        Self::Shift,
        Self::Size,
        Self::Signed,
    ];
}
