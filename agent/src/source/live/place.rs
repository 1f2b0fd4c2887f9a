//! Probes as the BPF programs know them.

use upspan_ebpf::argument::{self as bpf, Place, location};

use super::usdt::argument::{Argument, IndexPart, Location, Size};
use super::usdt::probes::Probe;

/// Where a probe finds its arguments.
pub(super) fn place(probe: &Probe) -> Place {
    let mut place = Place::default();
    for (to, from) in place.arguments.iter_mut().zip(&probe.arguments) {
        *to = argument(from);
    }
    place
}

fn argument(from: &Argument) -> bpf::Argument {
    let mut to = bpf::Argument {
        size: match from.size {
            Size::One => 1,
            Size::Two => 2,
            Size::Four => 4,
            Size::Eight => 8,
        },
        signed: from.signed.into(),
        ..bpf::Argument::default()
    };
    match from.location {
        Location::Constant(value) => {
            (to.location, to.value) = (location::CONSTANT, value);
        }
        Location::Register(register) => {
            (to.location, to.register) = (location::REGISTER, register.offset());
        }
        Location::Memory { base, displacement, index } => {
            (to.location, to.register) = (location::MEMORY, base.offset());
            to.value = displacement.into();
            if let Some(index) = index {
                (to.index, to.shift) = (index.register.offset(), index.scale_log2);
                to.location = match index.part {
                    IndexPart::Whole => location::INDEXED,
                    IndexPart::LowUnsigned => location::INDEXED_LOW_UNSIGNED,
                    IndexPart::LowSigned => location::INDEXED_LOW_SIGNED,
                };
            }
        }
    }
    to
}
