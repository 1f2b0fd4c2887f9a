//! Arguments as compilers write them, and any other text.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn register(offset: u16) -> Location {
    Location::Register(Register::at(offset))
}

fn memory(base: u16, displacement: i32) -> Location {
    Location::Memory { base: Register::at(base), displacement, index: None }
}

fn indexed(base: u16, displacement: i32, index: u16, part: IndexPart, scale_log2: u8) -> Location {
    let index = Some(Index { register: Register::at(index), part, scale_log2 });
    Location::Memory { base: Register::at(base), displacement, index }
}

/// The location that `operand` says, of 8 bytes.
fn location(machine: Machine, operand: &str) -> Result<Location, ArgumentFault> {
    match Argument::parse_all(machine, &format!("8@{operand}")) {
        Ok(arguments) => {
            assert_eq!(arguments.len(), 1, "{operand}");
            assert_eq!((arguments[0].size, arguments[0].signed), (Size::Eight, false));
            Ok(arguments[0].location)
        }
        Err(error) => Err(error.fault),
    }
}

#[test]
fn the_arguments_of_a_real_probe_are_read() {
    let text = "8@%rdx 4@%ecx 8@%rax 4@12(%rbx) 8@568(%rbx) -2@$-1";
    let unsigned = |size, location| Argument { size, signed: false, location };
    let expected = [
        unsigned(Size::Eight, register(96)),
        unsigned(Size::Four, register(88)),
        unsigned(Size::Eight, register(80)),
        unsigned(Size::Four, memory(40, 12)),
        unsigned(Size::Eight, memory(40, 568)),
        Argument { size: Size::Two, signed: true, location: Location::Constant(-1) },
    ];
    assert_eq!(Argument::parse_all(Machine::X86_64, text).unwrap(), expected);
}

#[test]
fn a_probe_may_have_no_arguments() {
    for text in ["", "  "] {
        assert_eq!(Argument::parse_all(Machine::X86_64, text), Ok(vec![]));
    }
}

#[test]
fn registers_of_x86_64_are_found_by_every_name() {
    // In the order of struct pt_regs; orig_rax, rip, cs and eflags are no operands.
    let names = "r15 r15d r15w r15b r14 r14d r14w r14b r13 r13d r13w r13b r12 r12d r12w r12b \
        rbp ebp bp bpl rbx ebx bx bl r11 r11d r11w r11b r10 r10d r10w r10b r9 r9d r9w r9b \
        r8 r8d r8w r8b rax eax ax al rcx ecx cx cl rdx edx dx dl rsi esi si sil rdi edi di dil";
    let names: Vec<&str> = names.split_whitespace().collect();
    assert_eq!(names.len(), 15 * 4);
    for (index, name) in names.into_iter().enumerate() {
        let offset = u16::try_from(index / 4 * 8).unwrap();
        assert_eq!(location(Machine::X86_64, &format!("%{name}")), Ok(register(offset)), "{name}");
    }
    for name in ["rsp", "esp", "sp", "spl"] {
        assert_eq!(location(Machine::X86_64, &format!("%{name}")), Ok(register(152)), "{name}");
    }
}

#[test]
fn operands_of_x86_64_are_read() {
    for (operand, expected) in [
        ("(%rax)", memory(80, 0)),
        ("-8(%rbp)", memory(32, -8)),
        ("0x10(%rsp)", memory(152, 16)),
        ("-8+16(%rsp)", memory(152, 8)),
        ("8(%rax,%rbx,4)", indexed(80, 8, 40, IndexPart::Whole, 2)),
        ("(%rax,%rbx)", indexed(80, 0, 40, IndexPart::Whole, 0)),
        ("-4(%r8, %r15, 8)", indexed(72, -4, 0, IndexPart::Whole, 3)),
        ("$5", Location::Constant(5)),
        ("$-1", Location::Constant(-1)),
        ("$0xff", Location::Constant(255)),
        ("$18446744073709551615", Location::Constant(-1)),
    ] {
        assert_eq!(location(Machine::X86_64, operand), Ok(expected), "{operand}");
    }
}

#[test]
fn operands_of_x86_64_that_cannot_be_read_say_why() {
    for (operand, fault) in [
        ("global(%rip)", ArgumentFault::Symbol),
        ("16+global(%rip)", ArgumentFault::Symbol),
        ("8(%rip)", ArgumentFault::Symbol),
        ("$global", ArgumentFault::Symbol),
        ("global", ArgumentFault::Symbol),
        ("global(,%rax,8)", ArgumentFault::Symbol),
        ("table+8(%rax)", ArgumentFault::Symbol),
        ("%fs:-8", ArgumentFault::Segment),
        ("%fs:-8(%rax)", ArgumentFault::Segment),
        ("0x1000", ArgumentFault::NoBase),
        ("(,%rax,8)", ArgumentFault::NoBase),
        ("()", ArgumentFault::NoBase),
        ("%ah", ArgumentFault::HighByte),
        ("%xmm0", ArgumentFault::Register),
        ("%rip", ArgumentFault::Register),
        ("%", ArgumentFault::Register),
        ("(%eax)", ArgumentFault::AddressRegister),
        ("(%rax,%ebx,2)", ArgumentFault::AddressRegister),
        ("2147483648(%rax)", ArgumentFault::Displacement),
        ("(%rax,%rbx,3)", ArgumentFault::Scale),
        ("(%rax,%rbx,)", ArgumentFault::Scale),
        ("(%rax,%rbx,2,2)", ArgumentFault::Syntax),
        ("(%rax", ArgumentFault::Syntax),
        ("(%rax)x", ArgumentFault::Syntax),
        ("(rax)", ArgumentFault::Syntax),
        ("", ArgumentFault::Symbol),
    ] {
        assert_eq!(location(Machine::X86_64, operand), Err(fault), "{operand}");
    }
}

#[test]
fn registers_of_aarch64_are_found_by_every_name() {
    for index in 0..31_u16 {
        for name in [format!("x{index}"), format!("w{index}")] {
            assert_eq!(location(Machine::Aarch64, &name), Ok(register(index * 8)), "{name}");
        }
    }
    for (name, offset) in [("sp", 248), ("wsp", 248), ("fp", 232), ("lr", 240)] {
        assert_eq!(location(Machine::Aarch64, name), Ok(register(offset)), "{name}");
    }
}

#[test]
fn operands_of_aarch64_are_read() {
    for (operand, expected) in [
        ("[x1]", memory(8, 0)),
        ("[sp, 16]", memory(248, 16)),
        ("[sp,#-16]", memory(248, -16)),
        ("[x0, x1]", indexed(0, 0, 8, IndexPart::Whole, 0)),
        ("[x0, x1, lsl 3]", indexed(0, 0, 8, IndexPart::Whole, 3)),
        ("[x0, x1, lsl #3]", indexed(0, 0, 8, IndexPart::Whole, 3)),
        ("[x0, w1]", indexed(0, 0, 8, IndexPart::LowUnsigned, 0)),
        ("[x0, w1, lsl 2]", indexed(0, 0, 8, IndexPart::LowUnsigned, 2)),
        ("[x0, w1, uxtw]", indexed(0, 0, 8, IndexPart::LowUnsigned, 0)),
        ("[x0, w1, sxtw 2]", indexed(0, 0, 8, IndexPart::LowSigned, 2)),
        ("[x29, x30, sxtx 1]", indexed(232, 0, 240, IndexPart::Whole, 1)),
        ("4", Location::Constant(4)),
        ("-4", Location::Constant(-4)),
        ("#0x10", Location::Constant(16)),
        ("xzr", Location::Constant(0)),
        ("wzr", Location::Constant(0)),
    ] {
        assert_eq!(location(Machine::Aarch64, operand), Ok(expected), "{operand}");
    }
}

#[test]
fn operands_of_aarch64_that_cannot_be_read_say_why() {
    for (operand, fault) in [
        ("[x0, 8]!", ArgumentFault::WriteBack),
        ("[x0, :lo12:global]", ArgumentFault::Symbol),
        ("global", ArgumentFault::Symbol),
        ("v0", ArgumentFault::Register),
        ("d31", ArgumentFault::Register),
        ("x31", ArgumentFault::Symbol),
        ("x01", ArgumentFault::Symbol),
        ("[w0, 8]", ArgumentFault::AddressRegister),
        ("[x0, sp]", ArgumentFault::Register),
        ("[x0, x1, lsl 5]", ArgumentFault::Scale),
        ("[x0, x1, lsl x]", ArgumentFault::Scale),
        ("[x0, x1, ror 2]", ArgumentFault::Syntax),
        ("[x0, 2147483648]", ArgumentFault::Displacement),
        ("[x0, x1, lsl 1, 2]", ArgumentFault::Syntax),
        ("[x0, 8, lsl 1]", ArgumentFault::Symbol),
        ("[]", ArgumentFault::Syntax),
        ("[x0", ArgumentFault::Syntax),
    ] {
        assert_eq!(location(Machine::Aarch64, operand), Err(fault), "{operand}");
    }
}

#[test]
fn operands_with_spaces_are_told_apart() {
    let text = "8@x19 4@[sp, 16] -4@[x0, w1, sxtw 2] 8@0";
    let arguments = Argument::parse_all(Machine::Aarch64, text).unwrap();
    let signs: Vec<_> = arguments.iter().map(|a| (a.size.bytes(), a.signed)).collect();
    assert_eq!(signs, [(8, false), (4, false), (4, true), (8, false)]);
}

#[test]
fn sizes_are_1_2_4_or_8() {
    for (text, fault) in [
        ("%rax", ArgumentFault::NoSize),
        ("@%rax", ArgumentFault::NoSize),
        ("x@%rax", ArgumentFault::NoSize),
        ("3@%rax", ArgumentFault::Size),
        ("0@%rax", ArgumentFault::Size),
        ("16@%rax", ArgumentFault::Size),
        ("-9223372036854775808@%rax", ArgumentFault::Size),
        ("8f@%xmm0", ArgumentFault::FloatingPoint),
    ] {
        let error = Argument::parse_all(Machine::X86_64, text).unwrap_err();
        assert_eq!(error.fault, fault, "{text}");
    }
}

#[test]
fn an_error_names_the_argument() {
    let error = Argument::parse_all(Machine::X86_64, "8@%rdx 4@flag(%rip)").unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 2 (\"4@flag(%rip)\") is at a symbol or relative to the instruction pointer, \
         which cannot be resolved here"
    );
}

#[test]
fn values_are_cut_to_their_size_and_extended_by_their_sign() {
    for (size, signed, bytes, value) in [
        (Size::One, false, 0x1234_5680, 0x80),
        (Size::One, true, 0x1234_5680, 0xffff_ffff_ffff_ff80),
        (Size::Two, true, 0x7fff, 0x7fff),
        (Size::Four, false, u64::MAX, 0xffff_ffff),
        (Size::Four, true, 0xffff_ffff, u64::MAX),
        (Size::Eight, false, u64::MAX, u64::MAX),
        (Size::Eight, true, 1 << 63, 1 << 63),
    ] {
        let argument = Argument { size, signed, location: Location::Constant(0) };
        assert_eq!(argument.extend(bytes), value, "{size:?} {signed}");
    }
    let constant = Argument::parse_all(Machine::X86_64, "4@$-1").unwrap();
    assert_eq!(constant[0].location, Location::Constant(0xffff_ffff));
}

fn machine() -> impl Strategy<Value = Machine> {
    select(vec![Machine::X86_64, Machine::Aarch64])
}

proptest! {
    #[test]
    fn any_text_does_no_harm(machine in machine(), text in any::<String>()) {
        let _ = Argument::parse_all(machine, &text);
    }

    #[test]
    fn text_like_arguments_does_no_harm(
        machine in machine(),
        text in "([-]?[1248]@[\\]\\[$%()!#, xw0-9rabcdspl+:-]{0,24} ?){0,8}",
    ) {
        if let Ok(arguments) = Argument::parse_all(machine, &text) {
            for argument in arguments {
                if let Location::Memory { base, index, .. } = argument.location {
                    prop_assert!(base.offset() <= 248);
                    prop_assert!(index.is_none_or(|index| index.scale_log2 <= 4));
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read(
        size in select(vec![1_u8, 2, 4, 8]),
        signed in any::<bool>(),
        displacement in any::<i32>(),
        scale_log2 in 0..4_u8,
    ) {
        let sign = if signed { "-" } else { "" };
        let text = format!("{sign}{size}@{displacement}(%rsp,%rdi,{})", 1 << scale_log2);
        let arguments = Argument::parse_all(Machine::X86_64, &text).unwrap();
        prop_assert_eq!(arguments.len(), 1);
        prop_assert_eq!(arguments[0].size.bytes(), size);
        prop_assert_eq!(arguments[0].signed, signed);
        let expected = indexed(152, displacement, 112, IndexPart::Whole, scale_log2);
        prop_assert_eq!(arguments[0].location, expected);
    }
}
