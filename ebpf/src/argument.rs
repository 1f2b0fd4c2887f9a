//! Where a USDT probe finds its arguments.
//!
//! A program is loaded for each place of a probe. What it is to know of its arguments are constants
//! in its instructions ([`marker`]), which the agent writes there before it loads it: the kernel's
//! verifier then drops all code for other forms of arguments.

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
    const ALL: [Self; 7] = [
        Self::Location,
        Self::Value,
        Self::Register,
        Self::Index,
        Self::Shift,
        Self::Size,
        Self::Signed,
    ];
}

/// Upper half of all markers: no other constant of the programs has it.
const MARK: u64 = 0x7570_5370 << 32;

/// What stands in a program's instructions in place of a field of an argument.
#[must_use]
pub const fn marker(argument: usize, field: Field) -> u64 {
    MARK | (argument as u64) << 8 | field as u64
}

/// The argument and field that a constant stands for, if it is a marker.
#[must_use]
pub fn marked(constant: u64) -> Option<(usize, Field)> {
    let rest = constant.checked_sub(MARK)?;
    let argument = usize::try_from(rest >> 8).ok()?;
    let field = *Field::ALL.get((rest & 0xff) as usize)?;
    (argument < MAX_ARGUMENTS).then_some((argument, field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_apart() {
        for argument in 0..MAX_ARGUMENTS {
            for field in Field::ALL {
                assert_eq!(marked(marker(argument, field)), Some((argument, field)));
            }
        }
        for other in [0, MARK - 1, MARK | 7, MARK | 6 << 8, u64::MAX] {
            assert_eq!(marked(other), None, "{other:#x}");
        }
    }
}
