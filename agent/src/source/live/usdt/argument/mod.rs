//! Arguments of a probe: `8@%rdx 4@12(%rbx)` says where they are when it is hit.
//!
//! The format is that of SystemTap's `sys/sdt.h`: for each argument its size in bytes, negative
//! when signed, `@`, and an operand as the compiler prints it for the assembler.

mod aarch64;
mod error;
mod number;
#[cfg(test)]
mod tests;
mod x86_64;

use super::machine::{Machine, Register};

pub use error::{ArgumentError, ArgumentFault};

/// How to read one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Argument {
    /// How many bytes it has; of a wider register, the lowest.
    pub size: Size,
    /// Whether its highest bit is a sign.
    pub signed: bool,
    /// Where it is.
    pub location: Location,
}

/// Size of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// 1 byte.
    One,
    /// 2 bytes.
    Two,
    /// 4 bytes.
    Four,
    /// 8 bytes.
    Eight,
}

impl Size {
    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    const fn of(bytes: i64) -> Option<Self> {
        match bytes {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }
}

/// Where an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// Nowhere: the compiler knew its value. It is as [`Argument::extend`] leaves it.
    Constant(i64),
    /// In a register.
    Register(Register),
    /// In the process's memory, at `base + displacement + index`.
    Memory {
        /// Holds an address.
        base: Register,
        /// Bytes to add to it.
        displacement: i32,
        /// Holds a number to add, once scaled.
        index: Option<Index>,
    },
}

/// A register that is added to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    /// The register.
    pub register: Register,
    /// What of it counts.
    pub part: IndexPart,
    /// By how many bits it is shifted left, after [`Index::part`] is taken: at most 4.
    pub scale_log2: u8,
}

/// What of an index register counts. On x86-64 it is always the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexPart {
    /// All 64 bits.
    Whole,
    /// The lower 32 bits, without sign: aarch64's `uxtw`.
    LowUnsigned,
    /// The lower 32 bits, with sign: aarch64's `sxtw`.
    LowSigned,
}

impl Argument {
    /// Reads the argument string of a probe's note, empty for a probe without arguments.
    ///
    /// # Errors
    ///
    /// For the first argument that is malformed, or where a BPF program cannot read it.
    pub fn parse_all(machine: Machine, text: &str) -> Result<Vec<Self>, ArgumentError> {
        split(text)
            .enumerate()
            .map(|(index, text)| {
                Self::parse(machine, text).map_err(|fault| ArgumentError::new(index, text, fault))
            })
            .collect()
    }

    fn parse(machine: Machine, text: &str) -> Result<Self, ArgumentFault> {
        let (size, operand) = text.split_once('@').ok_or(ArgumentFault::NoSize)?;
        if size.ends_with('f') {
            return Err(ArgumentFault::FloatingPoint);
        }
        let size = number::integer(size).ok_or(ArgumentFault::NoSize)?;
        let signed = size < 0;
        let size = size.checked_abs().and_then(Size::of).ok_or(ArgumentFault::Size)?;
        let location = match machine {
            Machine::X86_64 => x86_64::location(operand),
            Machine::Aarch64 => aarch64::location(operand),
        }?;
        let mut argument = Self { size, signed, location };
        if let Location::Constant(value) = argument.location {
            let value = argument.extend(value.cast_unsigned()).cast_signed();
            argument.location = Location::Constant(value);
        }
        Ok(argument)
    }

    /// The argument's value, of 8 bytes whose lowest ones are those of the argument: the others
    /// are replaced by copies of the sign, or by zeros where there is none.
    #[must_use]
    pub const fn extend(&self, bytes: u64) -> u64 {
        let unused = u64::BITS - 8 * self.size.bytes() as u32;
        if self.signed {
            ((bytes << unused).cast_signed() >> unused).cast_unsigned()
        } else {
            bytes << unused >> unused
        }
    }
}

/// Cuts at spaces outside of brackets: aarch64's operands have spaces within them.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c: char| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && c.is_ascii_whitespace()
    })
    .filter(|part| !part.is_empty())
}
