//! Arguments of probes as the BPF programs know them.

use upspan_ebpf::argument::{Field, location};

use super::usdt::argument::{Argument, IndexPart, Location};

/// The constant that a field of an argument is to a program; of one that the probe has not, 0.
pub(super) fn constant(arguments: &[Argument], argument: usize, field: Field) -> u64 {
    let Some(argument) = arguments.get(argument) else { return 0 };
    let (base, index, value) = match argument.location {
        Location::Constant(value) => (None, None, value),
        Location::Register(register) => (Some(register), None, 0),
        Location::Memory { base, displacement, index } => (Some(base), index, displacement.into()),
    };
    match field {
        Field::Location => match (argument.location, index.map(|index| index.part)) {
            (Location::Constant(_), _) => location::CONSTANT,
            (Location::Register(_), _) => location::REGISTER,
            (Location::Memory { .. }, None) => location::MEMORY,
            (Location::Memory { .. }, Some(IndexPart::Whole)) => location::INDEXED,
            (Location::Memory { .. }, Some(IndexPart::LowUnsigned)) => {
                location::INDEXED_LOW_UNSIGNED
            }
            (Location::Memory { .. }, Some(IndexPart::LowSigned)) => location::INDEXED_LOW_SIGNED,
        },
        Field::Value => value.cast_unsigned(),
        Field::Register => base.map_or(0, |register| register.offset().into()),
        Field::Index => index.map_or(0, |index| index.register.offset().into()),
        Field::Shift => index.map_or(0, |index| index.scale_log2.into()),
        Field::Size => argument.size.bytes().into(),
        Field::Signed => argument.signed.into(),
    }
}
