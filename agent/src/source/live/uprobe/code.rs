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

/// A program as the kernel takes it.
#[derive(Clone, Debug)]
pub struct Instructions {
    pub(super) license: CString,
    pub(super) instructions: Vec<bpf_insn>,
}

/// `BPF_LD | BPF_DW | BPF_IMM` of include/uapi/linux/bpf.h: the instruction that loads a constant of
/// 64 bits, the upper half of which is in the next one. With a source register it is something else.
const LOAD_CONSTANT: u8 = 0x18;

impl Instructions {
    /// With constants in place of others: those for which there is one.
    #[must_use]
    pub fn with_constants(&self, replace: impl Fn(u64) -> Option<u64>) -> Self {
        let mut this = self.clone();
        for at in 1..this.instructions.len() {
            let [low, high] = &mut this.instructions[at - 1..=at] else { continue };
            if low.code != LOAD_CONSTANT || low.src_reg() != 0 {
                continue;
            }
            let constant = u64::from(high.imm.cast_unsigned()) << 32 | u64::from(low.imm.cast_unsigned());
            if let Some(constant) = replace(constant) {
                low.imm = (constant as u32).cast_signed();
                high.imm = ((constant >> 32) as u32).cast_signed();
            }
        }
        this
    }
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
        let instructions = function.ok_or(CodeError::Lacks(name))?.instructions.clone();
        Ok(Instructions { license: program.license.clone(), instructions })
    }
}

/// Of the kinds of maps that the programs use.
fn descriptor(map: &Map) -> Option<i32> {
    let (Map::Array(map) | Map::RingBuf(map)) = map else { return None };
    Some(map.fd().as_fd().as_raw_fd())
}
