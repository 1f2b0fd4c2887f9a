//! Operands of aarch64: `x0`, `[sp, 16]`, `[x0, w1, sxtw 2]`, `4`.

use super::number::integer;
use super::{ArgumentFault, Index, IndexPart, Location, Register};

/// Offset of `sp` in `struct user_pt_regs`, behind `regs[31]`.
const SP: u16 = 31 * 8;

/// Where an operand is.
pub(super) fn location(operand: &str) -> Result<Location, ArgumentFault> {
    if let Some(address) = operand.strip_prefix('[') {
        if address.ends_with("]!") {
            return Err(ArgumentFault::WriteBack);
        }
        return memory(address.strip_suffix(']').ok_or(ArgumentFault::Syntax)?);
    }
    if let Some(value) = immediate(operand) {
        return Ok(Location::Constant(value));
    }
    // The register that reads as zero.
    if matches!(operand, "xzr" | "wzr") {
        return Ok(Location::Constant(0));
    }
    if let Some(named) = register(operand) {
        return Ok(Location::Register(named.register));
    }
    // `v0`, `d3` and the like are registers, all else is a symbol.
    let number = operand.strip_prefix(['b', 'h', 's', 'd', 'q', 'v']).unwrap_or_default();
    Err(if !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()) {
        ArgumentFault::Register
    } else {
        ArgumentFault::Symbol
    })
}

/// `base`, `base, displacement`, `base, index` or `base, index, extension`.
fn memory(address: &str) -> Result<Location, ArgumentFault> {
    let mut parts = address.split(',').map(str::trim);
    let base = register(parts.next().unwrap_or_default()).ok_or(ArgumentFault::Syntax)?;
    if !base.is_whole {
        return Err(ArgumentFault::AddressRegister);
    }
    let base = base.register;
    let Some(second) = parts.next() else {
        return Ok(Location::Memory { base, displacement: 0, index: None });
    };
    let extension = parts.next();
    if parts.next().is_some() {
        return Err(ArgumentFault::Syntax);
    }
    if let (Some(displacement), None) = (immediate(second), extension) {
        let displacement = i32::try_from(displacement).map_err(|_| ArgumentFault::Displacement)?;
        return Ok(Location::Memory { base, displacement, index: None });
    }
    let index = register(second).ok_or(ArgumentFault::Symbol)?;
    if index.register == Register::at(SP) {
        return Err(ArgumentFault::Register);
    }
    let index = extend(&index, extension)?;
    Ok(Location::Memory { base, displacement: 0, index: Some(index) })
}

/// What `extension` (`lsl 3`, `sxtw`, `uxtw #2`) makes of an index register.
fn extend(index: &Named, extension: Option<&str>) -> Result<Index, ArgumentFault> {
    let (operation, amount) = match extension {
        None => ("lsl", None),
        Some(text) => match text.split_once(' ') {
            None => (text, None),
            Some((operation, amount)) => (operation, Some(amount.trim())),
        },
    };
    let part = match operation {
        // Of a 32-bit register, as the upper half of the 64-bit one is not part of it.
        "lsl" | "uxtx" | "sxtx" if index.is_whole => IndexPart::Whole,
        "lsl" | "uxtw" => IndexPart::LowUnsigned,
        "sxtw" => IndexPart::LowSigned,
        _ => return Err(ArgumentFault::Syntax),
    };
    let scale_log2 = match amount.map(immediate) {
        None => 0,
        Some(amount) => amount
            .and_then(|amount| u8::try_from(amount).ok())
            // A processor scales by the size of what it loads: 16 bytes at most.
            .filter(|&amount| amount <= 4)
            .ok_or(ArgumentFault::Scale)?,
    };
    Ok(Index { register: index.register, part, scale_log2 })
}

/// A number, with or without `#`.
fn immediate(text: &str) -> Option<i64> {
    integer(text.strip_prefix('#').unwrap_or(text))
}

/// A register, and whether its name is that of all its 64 bits.
struct Named {
    register: Register,
    is_whole: bool,
}

fn register(name: &str) -> Option<Named> {
    let (is_whole, number) = match name {
        "sp" => return Some(Named { register: Register::at(SP), is_whole: true }),
        "wsp" => return Some(Named { register: Register::at(SP), is_whole: false }),
        "fp" => (true, "29"),
        "lr" => (true, "30"),
        _ => match name.strip_prefix('x') {
            Some(number) => (true, number),
            None => (false, name.strip_prefix('w')?),
        },
    };
    // One spelling each: no sign, no leading zero.
    let offset = (0..31_u16).find(|index| index.to_string() == number)? * 8;
    Some(Named { register: Register::at(offset), is_whole })
}
