//! Operands of x86-64, as AT&T's syntax has them: `%rdx`, `12(%rbx)`, `8(%rax,%rbx,4)`, `$5`.

use super::number::{integer, sum};
use super::{ArgumentFault, Index, IndexPart, Location, Register};

/// Names of each register by width (64, 32, 16, 8 bits), and its offset in `struct pt_regs`.
const REGISTERS: [([&str; 4], u16); 16] = [
    (["r15", "r15d", "r15w", "r15b"], 0),
    (["r14", "r14d", "r14w", "r14b"], 8),
    (["r13", "r13d", "r13w", "r13b"], 16),
    (["r12", "r12d", "r12w", "r12b"], 24),
    (["rbp", "ebp", "bp", "bpl"], 32),
    (["rbx", "ebx", "bx", "bl"], 40),
    (["r11", "r11d", "r11w", "r11b"], 48),
    (["r10", "r10d", "r10w", "r10b"], 56),
    (["r9", "r9d", "r9w", "r9b"], 64),
    (["r8", "r8d", "r8w", "r8b"], 72),
    (["rax", "eax", "ax", "al"], 80),
    (["rcx", "ecx", "cx", "cl"], 88),
    (["rdx", "edx", "dx", "dl"], 96),
    (["rsi", "esi", "si", "sil"], 104),
    (["rdi", "edi", "di", "dil"], 112),
    // Between them: orig_rax, rip, cs and eflags.
    (["rsp", "esp", "sp", "spl"], 152),
];

/// Where an operand is.
pub(super) fn location(operand: &str) -> Result<Location, ArgumentFault> {
    if let Some(constant) = operand.strip_prefix('$') {
        return sum(constant).map(Location::Constant).ok_or(ArgumentFault::Symbol);
    }
    if operand.starts_with('%') {
        if operand.contains(':') {
            return Err(ArgumentFault::Segment);
        }
        return register(operand).map(|named| Location::Register(named.register));
    }
    let Some((displacement, registers)) = operand.split_once('(') else {
        return Err(if sum(operand).is_some() {
            ArgumentFault::NoBase
        } else {
            ArgumentFault::Symbol
        });
    };
    let registers = registers.strip_suffix(')').ok_or(ArgumentFault::Syntax)?;
    if registers == "%rip" {
        return Err(ArgumentFault::Symbol);
    }
    let displacement = match displacement {
        "" => 0,
        sized => sum(sized).ok_or(ArgumentFault::Symbol)?,
    };
    memory(displacement, registers)
}

/// `base`, `base,index` or `base,index,scale`.
fn memory(displacement: i64, registers: &str) -> Result<Location, ArgumentFault> {
    let displacement = i32::try_from(displacement).map_err(|_| ArgumentFault::Displacement)?;
    let mut parts = registers.split(',').map(str::trim);
    let base = match parts.next() {
        None | Some("") => return Err(ArgumentFault::NoBase),
        Some(base) => address(base)?,
    };
    let index = parts.next().map(address).transpose()?;
    let scale_log2 = match parts.next() {
        None => 0,
        Some(scale) => match integer(scale) {
            Some(1) => 0,
            Some(2) => 1,
            Some(4) => 2,
            Some(8) => 3,
            _ => return Err(ArgumentFault::Scale),
        },
    };
    if parts.next().is_some() {
        return Err(ArgumentFault::Syntax);
    }
    let index = index.map(|register| Index { register, part: IndexPart::Whole, scale_log2 });
    Ok(Location::Memory { base, displacement, index })
}

/// A register, and whether its name is that of all its 64 bits.
struct Named {
    register: Register,
    is_whole: bool,
}

fn register(name: &str) -> Result<Named, ArgumentFault> {
    let name = name.strip_prefix('%').ok_or(ArgumentFault::Syntax)?;
    if matches!(name, "ah" | "bh" | "ch" | "dh") {
        return Err(ArgumentFault::HighByte);
    }
    let find = |(names, offset): &([&str; 4], u16)| {
        let width = names.iter().position(|&known| known == name)?;
        Some(Named { register: Register::at(*offset), is_whole: width == 0 })
    };
    REGISTERS.iter().find_map(find).ok_or(ArgumentFault::Register)
}

/// A register that is part of an address.
fn address(name: &str) -> Result<Register, ArgumentFault> {
    let named = register(name)?;
    if named.is_whole { Ok(named.register) } else { Err(ArgumentFault::AddressRegister) }
}
