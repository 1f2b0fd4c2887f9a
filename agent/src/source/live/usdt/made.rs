//! ELF files made for tests: headers and notes, without any code.

use super::address::Address;
use super::note::Note;

/// What a made file consists of.
#[derive(Clone, Debug)]
pub(super) struct MadeElf {
    /// `e_machine`.
    pub(super) machine: u16,
    pub(super) loads: Vec<Load>,
    /// Address of the section `.stapsdt.base`.
    pub(super) base: Option<u64>,
    /// Content of the section `.note.stapsdt`.
    pub(super) notes: Option<Vec<u8>>,
}

/// A program header `PT_LOAD`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Of `R` (4), `W` (2) and `X` (1).
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) file_size: u64,
    pub(super) memory_size: u64,
}

const fn load(flags: u32, offset: u64, address: u64, file_size: u64, memory_size: u64) -> Load {
    Load { flags, offset, address, file_size, memory_size }
}

/// A file with these notes, linked as Debian 12's vswitchd is.
pub(super) fn bookworm(notes: Vec<u8>) -> MadeElf {
    MadeElf {
        machine: 62,
        loads: vec![
            load(4, 0, 0, 0x23128, 0x23128),
            load(5, 0x24000, 0x24000, 0x001c_07d9, 0x001c_07d9),
            load(4, 0x001e_5000, 0x001e_5000, 0xb50d8, 0xb50d8),
            load(6, 0x0029_a570, 0x0029_b570, 0x44410, 0x48838),
        ],
        base: Some(0x0022_fe54),
        notes: Some(notes),
    }
}

/// A file with these notes, linked as Debian 13's vswitchd is.
pub(super) fn trixie(notes: Vec<u8>) -> MadeElf {
    MadeElf {
        machine: 62,
        loads: vec![
            load(4, 0, 0, 0x23f70, 0x23f70),
            load(5, 0x24000, 0x24000, 0x001c_d569, 0x001c_d569),
            load(4, 0x001f_2000, 0x001f_2000, 0xb99d0, 0xb99d0),
            load(6, 0x002a_c328, 0x002a_c328, 0x466b8, 0x4aba0),
        ],
        base: Some(0x0023_edb4),
        notes: Some(notes),
    }
}

/// Notes of vswitchds that were compiled for real.
pub(super) const BOOKWORM_NOTES: &[u8] = include_bytes!("fixtures/ovs-3.1.0-bookworm.note.stapsdt");
pub(super) const TRIXIE_NOTES: &[u8] = include_bytes!("fixtures/ovs-3.5.0-trixie.note.stapsdt");

/// A note as `sys/sdt.h` writes it.
pub(super) fn note_bytes(note: &Note) -> Vec<u8> {
    let mut descriptor = Vec::new();
    for address in [note.location, note.base, note.semaphore.unwrap_or(Address(0))] {
        descriptor.extend(address.0.to_le_bytes());
    }
    for text in [&note.provider, &note.name, &note.arguments] {
        descriptor.extend(text.as_bytes());
        descriptor.push(0);
    }
    let mut bytes = Vec::new();
    for word in [8, u32::try_from(descriptor.len()).unwrap(), 3] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"stapsdt\0");
    bytes.extend(descriptor);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

impl MadeElf {
    pub(super) fn bytes(&self) -> Vec<u8> {
        const HEADER: usize = 64;
        const NAMES: &[u8] = b"\0.stapsdt.base\0.note.stapsdt\0.shstrtab\0";
        let notes = self.notes.clone().unwrap_or_default();
        let notes_at = HEADER + 56 * self.loads.len();
        let names_at = notes_at + notes.len();
        let sections_at = names_at + NAMES.len();

        // Name, type, flags, address, offset, size, alignment.
        let mut sections = vec![[0; 7]];
        if let Some(base) = self.base {
            sections.push([1, 1, 2, base, 0, 1, 1]);
        }
        if self.notes.is_some() {
            sections.push([15, 7, 0, 0, notes_at as u64, notes.len() as u64, 4]);
        }
        sections.push([29, 3, 0, 0, names_at as u64, NAMES.len() as u64, 1]);

        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        // ET_DYN, as position-independent programs are.
        put(&mut bytes, 2, 3);
        put(&mut bytes, 2, self.machine.into());
        put(&mut bytes, 4, 1);
        for (size, value) in [(8, 0), (8, HEADER), (8, sections_at), (4, 0), (2, HEADER)] {
            put(&mut bytes, size, value as u64);
        }
        let counts = [56, self.loads.len(), 64, sections.len(), sections.len() - 1];
        for count in counts {
            put(&mut bytes, 2, count as u64);
        }
        for load in &self.loads {
            put(&mut bytes, 4, 1);
            put(&mut bytes, 4, load.flags.into());
            let rest = [load.offset, load.address, load.address];
            for value in rest.into_iter().chain([load.file_size, load.memory_size, 0x1000]) {
                put(&mut bytes, 8, value);
            }
        }
        bytes.extend(notes);
        bytes.extend(NAMES);
        for [name, kind, flags, address, offset, size, alignment] in sections {
            put(&mut bytes, 4, name);
            put(&mut bytes, 4, kind);
            for value in [flags, address, offset, size, 0, alignment, 0] {
                put(&mut bytes, 8, value);
            }
        }
        bytes
    }
}

/// Appends the lowest `size` bytes of `value`.
fn put(bytes: &mut Vec<u8>, size: usize, value: u64) {
    bytes.extend(&value.to_le_bytes()[..size]);
}
