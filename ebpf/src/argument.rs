//! Where a USDT probe finds its arguments.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most arguments of a probe that are read: `recv_upcall` has six.
pub const MAX_ARGUMENTS: usize = 6;

/// Most places of probes: a probe has one for each time the compiler inlined it.
pub const MAX_PLACES: u32 = 256;

/// Where an argument is: the value of [`Argument::location`].
pub mod location {
    /// [`super::Argument::value`] itself.
    pub const CONSTANT: u8 = 0;
    /// A register.
    pub const REGISTER: u8 = 1;
    /// Memory at a register, plus [`super::Argument::value`].
    pub const MEMORY: u8 = 2;
    /// As [`MEMORY`], plus the index register shifted left by [`super::Argument::shift`].
    pub const INDEXED: u8 = 3;
    /// As [`INDEXED`], of whose index only the lower 32 bits count, without sign.
    pub const INDEXED_LOW_UNSIGNED: u8 = 4;
    /// As [`INDEXED`], of whose index only the lower 32 bits count, with sign.
    pub const INDEXED_LOW_SIGNED: u8 = 5;
}

/// One argument of one place.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Argument {
    /// The constant, or the displacement.
    pub value: i64,
    /// Offset in bytes of the register in `struct pt_regs`.
    pub register: u16,
    /// Offset in bytes of the index register in `struct pt_regs`.
    pub index: u16,
    /// See [`location`].
    pub location: u8,
    /// By how many bits the index register is shifted left: 0 to 4.
    pub shift: u8,
    /// Size in bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// 1 if it is signed, else 0.
    pub signed: u8,
}

/// The arguments of one place of a probe.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Place {
    /// In the probe's order; unused ones are the constant 0.
    pub arguments: [Argument; MAX_ARGUMENTS],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_no_padding_and_fit_eight_bytes() {
        assert_eq!(size_of::<Argument>(), 16);
        assert_eq!(align_of::<Argument>(), 8);
        assert_eq!(size_of::<Place>(), 16 * MAX_ARGUMENTS);
    }

    #[test]
    fn a_place_survives_the_way_through_bytes() {
        let argument = Argument {
            value: -568,
            register: 40,
            index: 80,
            location: location::INDEXED,
            shift: 3,
            size: 4,
            signed: 1,
        };
        let place = Place { arguments: [argument; MAX_ARGUMENTS] };
        assert_eq!(Place::read_from_bytes(place.as_bytes()), Ok(place));
    }
}
