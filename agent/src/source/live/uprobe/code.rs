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
    let (Map::Array(map) | Map::PerCpuArray(map) | Map::RingBuf(map)) = map else { return None };
    Some(map.fd().as_fd().as_raw_fd())
}
