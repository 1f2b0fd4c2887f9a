//! Constants of the programs that are known only when they are loaded.
//!
//! They stand in instructions that load a constant of 64 bits, which is a marker at first. The agent
//! writes the values there before it loads a program. To the kernel's verifier they are constants
//! like any others: it drops the code for all other values. And a program needs no memory for them.

use crate::argument::{Field, MAX_ARGUMENTS};
use crate::config::Setting;

/// A constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// The same for all programs.
    Setting(Setting),
    /// A field of an argument, by its number: of the place of a USDT probe.
    Argument(usize, Field),
}

/// Upper half of all markers: no other constant of the programs has it.
const MARK: u64 = 0x7570_5370 << 32;
/// In place of an argument's number.
const SETTING: u64 = 0xff;

impl Constant {
    /// What stands in a program's instructions in its place.
    #[must_use]
    pub const fn marker(self) -> u64 {
        match self {
            Self::Setting(setting) => MARK | SETTING << 8 | setting as u64,
            Self::Argument(argument, field) => MARK | (argument as u64) << 8 | field as u64,
        }
    }

    /// The constant that a marker stands for; `None` if it is none.
    #[must_use]
    pub fn of(marker: u64) -> Option<Self> {
        let rest = marker.checked_sub(MARK)?;
        let (group, number) = (rest >> 8, (rest & 0xff) as usize);
        if group == SETTING {
            return Setting::ALL.get(number).copied().map(Self::Setting);
        }
        let argument = usize::try_from(group).ok().filter(|&argument| argument < MAX_ARGUMENTS)?;
        Field::ALL.get(number).map(|&field| Self::Argument(argument, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_apart() {
        for setting in Setting::ALL {
            let constant = Constant::Setting(setting);
            assert_eq!(Constant::of(constant.marker()), Some(constant));
        }
        for argument in 0..MAX_ARGUMENTS {
            for field in Field::ALL {
                let constant = Constant::Argument(argument, field);
                assert_eq!(Constant::of(constant.marker()), Some(constant));
            }
        }
        for other in [0, MARK - 1, MARK | 0xfe, MARK | 6 << 8, MARK | 0xfffe, u64::MAX] {
            assert_eq!(Constant::of(other), None, "{other:#x}");
        }
    }
}
