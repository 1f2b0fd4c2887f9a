//! The instructions of programs that aya does not load.

use std::collections::HashSet;
use std::ffi::CString;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use aya::Ebpf;
use aya::maps::Map;
use aya_obj::generated::bpf_insn;
use aya_obj::relocation::EbpfRelocationError;
use aya_obj::{Object, ParseError};
use upspan_ebpf::constant::Constant;

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It is no BPF object.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// References to maps or functions lead nowhere.
    #[error(transparent)]
    Relocation(#[from] EbpfRelocationError),
    /// It has no such program.
    #[error("it lacks {0}")]
    Lacks(&'static str),
}

/// The programs of an object, which use the maps that aya has made for it.
#[derive(Debug)]
pub struct Code(Object);

/// A program as the kernel takes it: each instruction is a `struct bpf_insn`.
#[derive(Clone, Debug)]
pub struct Instructions {
    pub(super) license: CString,
    pub(super) words: Vec<u64>,
}

impl Instructions {
    /// With its constants of these kinds set.
    #[must_use]
    pub fn with(mut self, value: impl Fn(Constant) -> Option<u64>) -> Self {
        set(&mut self.words, value);
        self
    }
}

/// A BPF object with constants of its programs set, as words of 8 bytes. They are looked for in all
/// of it: nothing but an instruction looks like one.
#[must_use]
pub fn object_with(object: &[u8], value: impl Fn(Constant) -> Option<u64>) -> Vec<u64> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let mut words: Vec<_> = object.chunks(8).map(word).collect();
    set(&mut words, value);
    words
}

/// Sets constants where they are loaded.
fn set(words: &mut [u64], value: impl Fn(Constant) -> Option<u64>) {
    /// `BPF_LD | BPF_DW | BPF_IMM` of include/uapi/linux/bpf.h, into any register. With a source
    /// register it is something else.
    const LOAD: u64 = 0x18;
    const OPERATION: u64 = 0xffff_f0ff;
    // The lower half of the constant is in the instruction, the upper one in the next word.
    const LOW: u64 = 0xffff_ffff;
    for at in 1..words.len() {
        let [low, high] = &mut words[at - 1..=at] else { continue };
        let is_load = *low & OPERATION == LOAD && *high & LOW == 0;
        let constant = *high & !LOW | *low >> 32;
        if is_load && let Some(value) = Constant::of(constant).and_then(&value) {
            *low = *low & LOW | value << 32;
            *high = value & !LOW;
        }
    }
}

/// An instruction as it is in memory.
fn word(instruction: &bpf_insn) -> u64 {
    let registers = instruction.dst_reg() | instruction.src_reg() << 4;
    let [low, high] = instruction.off.to_le_bytes();
    let operation = u32::from_le_bytes([instruction.code, registers, low, high]);
    u64::from(operation) | u64::from(instruction.imm.cast_unsigned()) << 32
}

impl Code {
    /// `maps` are those of the same object, before any is taken out.
    ///
    /// # Errors
    ///
    /// It is not the same object.
    pub fn new(object: &[u8], maps: &Ebpf) -> Result<Self, CodeError> {
        let mut object = Object::parse(object)?;
        let declared = mem::take(&mut object.maps);
        let text: HashSet<_> = object.functions.keys().map(|&(section, _)| section).collect();
        let made = declared.iter().filter_map(|(name, declared)| {
            Some((name.as_str(), descriptor(maps.map(name)?)?, declared))
        });
        object.relocate_maps(made, &text)?;
        object.relocate_calls(&text)?;
        Ok(Self(object))
    }

    /// One of the programs.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub fn program(&self, name: &'static str) -> Result<Instructions, CodeError> {
        let program = self.0.programs.get(name).ok_or(CodeError::Lacks(name))?;
        let function = self.0.functions.get(&program.function_key());
        let instructions = &function.ok_or(CodeError::Lacks(name))?.instructions;
        let words = instructions.iter().map(word).collect();
        Ok(Instructions { license: program.license.clone(), words })
    }
}

/// Of the kinds of maps that the programs use.
fn descriptor(map: &Map) -> Option<i32> {
    let (Map::Array(map) | Map::RingBuf(map)) = map else { return None };
    Some(map.fd().as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use upspan_ebpf::config::Setting;
    use zerocopy::IntoBytes;

    use super::*;

    #[test]
    fn a_constant_is_set_where_it_is_loaded_and_nowhere_else() {
        let constant = Constant::Setting(Setting::KeyLimit);
        let marker = constant.marker();
        let load = |registers: u8, value: u64| {
            let low = 0x18 | u64::from(registers) << 8 | value << 32;
            [low, value >> 32 << 32]
        };
        let values = |of| (of == constant).then_some(0x1234_5678_9abc_def0);
        let other = Constant::Setting(Setting::PacketLimit).marker();
        // Into register 3; into register 3 what register 1 stands for; another; no instruction.
        let object = [load(0x03, marker), load(0x13, marker), load(0x03, other), [0, marker]];
        let mut expected = object;
        expected[0] = load(0x03, 0x1234_5678_9abc_def0);
        assert_eq!(object_with(object.as_flattened().as_bytes(), values), expected.as_flattened());
    }
}
