//! ELF files: their USDT notes, and where in the file the probes are.

mod bounded;
mod segments;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fs::File;

use object::LittleEndian;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};

use super::address::{Address, FileOffset};
use super::machine::Machine;
use super::note::{Note, NoteFault};

use bounded::{BUDGET, Bounded};
use segments::Segments;

pub use segments::PlaceError;

/// The USDT notes of a 64-bit little-endian ELF file, and what is needed to place the probes.
#[derive(Clone, Debug)]
pub struct ElfNotes {
    machine: Machine,
    /// Address of the section `.stapsdt.base`.
    base: Option<Address>,
    segments: Segments,
    notes: Vec<Note>,
}

/// Where in its file a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The instruction to probe.
    pub offset: FileOffset,
    /// The probe's semaphore, if it has one: the reference counter that the kernel is to count up
    /// as long as the probe is attached (`ref_ctr_offset`).
    pub semaphore: Option<FileOffset>,
}

/// Why the notes of a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// It does not begin as ELF files do.
    #[error("it is no ELF file")]
    NotElf,
    /// It is of 32 bits, or big-endian.
    #[error("it is no 64-bit little-endian ELF file, the only ones whose probes can be read")]
    Class,
    /// It is for another processor.
    #[error("it is for processor {0} of ELF: probes can be read of x86-64 (62) and aarch64 (183)")]
    Machine(u16),
    /// Its headers or sections are damaged, larger than any real file's, or cannot be read.
    #[error("it is damaged, or cannot be read: {0}")]
    Damaged(#[from] object::read::Error),
    /// A note of its section `.note.stapsdt` is malformed.
    #[error("its USDT note {number} is malformed: {fault}")]
    Note {
        /// Which note, from 1 on.
        number: usize,
        /// What is wrong with it.
        fault: NoteFault,
    },
}

impl ElfNotes {
    /// Reads what is needed of a file, which is little of a large one.
    ///
    /// # Errors
    ///
    /// When it is not an ELF file of a known processor, or damaged.
    pub fn read(file: &File) -> Result<Self, ElfError> {
        let cache = ReadCache::new(file);
        Self::of(&cache)
    }

    /// Reads a file that is in memory.
    ///
    /// # Errors
    ///
    /// When it is not an ELF file of a known processor, or damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, ElfError> {
        Self::of(bytes)
    }

    fn of<'a>(data: impl ReadRef<'a>) -> Result<Self, ElfError> {
        let budget = Cell::new(BUDGET);
        let data = Bounded::new(data, &budget);
        let endian = LittleEndian;
        match data.read_bytes_at(0, 6) {
            // EI_CLASS is ELFCLASS64, EI_DATA is ELFDATA2LSB.
            Ok(b"\x7fELF\x02\x01") => {}
            Ok([0x7f, b'E', b'L', b'F', ..]) => return Err(ElfError::Class),
            _ => return Err(ElfError::NotElf),
        }
        let header = FileHeader64::<LittleEndian>::parse(data)?;
        let machine = match header.e_machine(endian) {
            EM_X86_64 => Machine::X86_64,
            EM_AARCH64 => Machine::Aarch64,
            other => return Err(ElfError::Machine(other.0)),
        };
        let segments = Segments::of(header.program_headers(endian, data)?);
        let sections = header.sections(endian, data)?;
        let mut base = None;
        let mut notes = Vec::new();
        for section in sections.iter() {
            match sections.section_name(endian, section)? {
                b".stapsdt.base" => base = Some(Address(section.sh_addr(endian))),
                b".note.stapsdt" => {
                    let Some(mut found) = section.notes(endian, data)? else { continue };
                    while let Some(note) = found.next()? {
                        if note.name() == Note::OWNER && note.n_type(endian).0 == Note::TYPE {
                            let number = notes.len() + 1;
                            let malformed = |fault| ElfError::Note { number, fault };
                            notes.push(Note::parse(note.desc()).map_err(malformed)?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(Self { machine, base, segments, notes })
    }

    /// The processor that the file is for.
    #[must_use]
    pub const fn machine(&self) -> Machine {
        self.machine
    }

    /// All notes, in the order of the file.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Where in the file the probe of `note`, one of [`ElfNotes::notes`], is.
    ///
    /// # Errors
    ///
    /// When one of its addresses is in no suitable part of the file.
    pub fn place(&self, note: &Note) -> Result<Place, PlaceError> {
        // prelink moves a file's sections to other addresses, but knows nothing of these notes.
        let moved = match self.base {
            Some(base) if base.0 != 0 && note.base.0 != 0 => base.0.wrapping_sub(note.base.0),
            _ => 0,
        };
        let now = |address: Address| Address(address.0.wrapping_add(moved));
        let semaphore = note.semaphore.map(|at| self.segments.semaphore(now(at))).transpose()?;
        Ok(Place { offset: self.segments.code(now(note.location))?, semaphore })
    }
}
