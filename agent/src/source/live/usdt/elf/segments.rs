//! From addresses to offsets in the file, by the program headers.

use object::LittleEndian;
use object::elf::{PF_W, PF_X, PT_LOAD, ProgramHeader64};
use object::read::elf::ProgramHeader;

use super::super::address::{Address, FileOffset};

/// The parts of a file that a process maps into its memory.
#[derive(Clone, Debug)]
pub(super) struct Segments(Vec<Segment>);

/// A program header `PT_LOAD`.
#[derive(Clone, Copy, Debug)]
struct Segment {
    address: u64,
    /// How much of it the file has, in bytes; what memory has beyond that, begins as zeros.
    file_size: u64,
    offset: u64,
    is_executable: bool,
    is_writable: bool,
}

/// Why a probe cannot be placed in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No executable segment has the probe.
    #[error("its address {0} is in no executable segment of the file")]
    Code(Address),
    /// No writable segment has the semaphore.
    #[error("its semaphore's address {0} is in no writable segment of the file")]
    Semaphore(Address),
}

impl Segments {
    pub(super) fn of(headers: &[ProgramHeader64<LittleEndian>]) -> Self {
        let endian = LittleEndian;
        let loaded = headers.iter().filter(|header| header.p_type(endian) == PT_LOAD);
        let segments = loaded.map(|header| Segment {
            address: header.p_vaddr(endian),
            file_size: header.p_filesz(endian),
            offset: header.p_offset(endian),
            is_executable: header.p_flags(endian).contains(PF_X),
            is_writable: header.p_flags(endian).contains(PF_W),
        });
        Self(segments.collect())
    }

    /// Where the instruction at `address` is in the file.
    pub(super) fn code(&self, address: Address) -> Result<FileOffset, PlaceError> {
        self.offset(address, |segment| segment.is_executable).ok_or(PlaceError::Code(address))
    }

    /// Where the counter at `address` is in the file. The kernel counts it up only where it is
    /// mapped writable (`valid_ref_ctr_vma` of kernel/events/uprobes.c).
    pub(super) fn semaphore(&self, address: Address) -> Result<FileOffset, PlaceError> {
        self.offset(address, |segment| segment.is_writable).ok_or(PlaceError::Semaphore(address))
    }

    fn offset(&self, address: Address, suits: impl Fn(&Segment) -> bool) -> Option<FileOffset> {
        self.0.iter().filter(|segment| suits(segment)).find_map(|segment| {
            let within = address.0.checked_sub(segment.address)?;
            if within >= segment.file_size {
                return None;
            }
            segment.offset.checked_add(within).map(FileOffset)
        })
    }
}
