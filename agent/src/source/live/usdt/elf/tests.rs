//! Notes of real and made files, and of arbitrary bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::argument::Argument;
use super::super::made::{
    BOOKWORM_NOTES, Load, MadeElf, TRIXIE_NOTES, bookworm, note_bytes, trixie,
};
use super::*;

fn note(location: u64, base: u64, semaphore: u64) -> Note {
    Note {
        provider: "dpif_recv".to_owned(),
        name: "recv_upcall".to_owned(),
        location: Address(location),
        base: Address(base),
        semaphore: Some(semaphore).filter(|&at| at != 0).map(Address),
        arguments: "8@%rdx 4@%ecx".to_owned(),
    }
}

/// A file whose segments are at other offsets than their addresses.
fn with_notes(notes: &[Note]) -> MadeElf {
    let code =
        Load { flags: 5, offset: 0x1000, address: 0x40_1000, file_size: 0x800, memory_size: 0x800 };
    let data =
        Load { flags: 6, offset: 0x1800, address: 0x40_3800, file_size: 0x100, memory_size: 0x900 };
    MadeElf {
        machine: 62,
        loads: vec![code, data],
        base: Some(0x40_2000),
        notes: Some(notes.iter().flat_map(note_bytes).collect()),
    }
}

/// The place of the only note of a made file.
fn place(note: Note) -> Result<Place, PlaceError> {
    let elf = ElfNotes::parse(&with_notes(&[note]).bytes()).unwrap();
    elf.place(&elf.notes()[0])
}

/// A note as `readelf -n` prints it, but for spaces at the end of lines.
fn readelf(note: &Note) -> String {
    let Note { provider, name, location, base, semaphore, arguments } = note;
    let semaphore = semaphore.map_or(0, |at| at.0);
    format!(
        "    Provider: {provider}\n    Name: {name}\n    Location: {:#018x}, Base: {:#018x}, \
         Semaphore: {semaphore:#018x}\n    Arguments: {arguments}",
        location.0, base.0
    )
    .trim_end()
    .to_owned()
        + "\n"
}

#[test]
fn notes_of_real_builds_are_those_that_readelf_shows() {
    for (file, expected) in [
        (bookworm(BOOKWORM_NOTES.to_vec()), include_str!("../fixtures/ovs-3.1.0-bookworm.readelf")),
        (trixie(TRIXIE_NOTES.to_vec()), include_str!("../fixtures/ovs-3.5.0-trixie.readelf")),
    ] {
        let elf = ElfNotes::parse(&file.bytes()).unwrap();
        assert_eq!(elf.machine(), Machine::X86_64);
        assert_eq!(elf.notes().iter().map(readelf).collect::<String>(), expected);
        for note in elf.notes() {
            let arguments = Argument::parse_all(elf.machine(), &note.arguments).unwrap();
            assert_eq!(arguments.len(), note.arguments.split_whitespace().count());
            // In these builds, code is at offsets that are its addresses.
            let offset = FileOffset(note.location.0);
            assert_eq!(elf.place(note), Ok(Place { offset, semaphore: None }));
        }
    }
}

#[test]
fn addresses_become_offsets_in_the_file() {
    let expected = Place { offset: FileOffset(0x1234), semaphore: Some(FileOffset(0x1810)) };
    assert_eq!(place(note(0x40_1234, 0x40_2000, 0x40_3810)), Ok(expected));
    let expected = Place { offset: FileOffset(0x1000), semaphore: None };
    assert_eq!(place(note(0x40_1000, 0x40_2000, 0)), Ok(expected));
}

#[test]
fn a_file_that_prelink_has_moved_is_corrected_by_the_base() {
    // Linked at 0, moved to 0x400000.
    let expected = Place { offset: FileOffset(0x1234), semaphore: Some(FileOffset(0x1810)) };
    assert_eq!(place(note(0x1234, 0x2000, 0x3810)), Ok(expected));
    // Moved down.
    assert_eq!(place(note(0x80_1234, 0x80_2000, 0x80_3810)), Ok(expected));
}

#[test]
fn without_a_base_addresses_are_as_the_note_has_them() {
    let expected = Ok(Place { offset: FileOffset(0x1234), semaphore: None });
    assert_eq!(place(note(0x40_1234, 0, 0)), expected);
    let mut file = with_notes(&[note(0x40_1234, 0x1000, 0)]);
    file.base = None;
    let elf = ElfNotes::parse(&file.bytes()).unwrap();
    assert_eq!(elf.place(&elf.notes()[0]), expected);
}

#[test]
fn addresses_outside_of_their_segments_are_refused() {
    for (location, semaphore, error) in [
        (0x40_0fff, 0, PlaceError::Code(Address(0x40_0fff))),
        (0x40_1800, 0, PlaceError::Code(Address(0x40_1800))),
        (0x40_3800, 0, PlaceError::Code(Address(0x40_3800))),
        (0x40_1000, 0x40_1000, PlaceError::Semaphore(Address(0x40_1000))),
        // In memory alone, as the file ends before.
        (0x40_1000, 0x40_3900, PlaceError::Semaphore(Address(0x40_3900))),
    ] {
        assert_eq!(place(note(location, 0x40_2000, semaphore)), Err(error));
    }
}

#[test]
fn a_file_without_notes_has_no_probes() {
    let mut file = with_notes(&[]);
    for notes in [Some(vec![]), None] {
        file.notes = notes;
        assert!(ElfNotes::parse(&file.bytes()).unwrap().notes().is_empty());
    }
}

#[test]
fn notes_of_others_are_passed_over() {
    let mut other_type = note_bytes(&note(1, 0, 0));
    other_type[8] = 4;
    let mut other_owner = note_bytes(&note(2, 0, 0));
    other_owner[12] = b'S';
    let mut file = with_notes(&[]);
    file.notes = Some([other_type, other_owner, note_bytes(&note(3, 0, 0))].concat());
    assert_eq!(ElfNotes::parse(&file.bytes()).unwrap().notes(), [note(3, 0, 0)]);
}

#[test]
fn files_of_other_kinds_are_told_apart() {
    let file = with_notes(&[note(0x40_1234, 0, 0)]).bytes();
    let changed = |at: usize, byte: u8| {
        let mut file = file.clone();
        file[at] = byte;
        ElfNotes::parse(&file).unwrap_err()
    };
    assert_eq!(changed(0, b'#'), ElfError::NotElf);
    assert_eq!(changed(4, 1), ElfError::Class);
    assert_eq!(changed(5, 2), ElfError::Class);
    assert_eq!(changed(18, 40), ElfError::Machine(40));
    assert_eq!(ElfNotes::parse(b"").unwrap_err(), ElfError::NotElf);
    assert_eq!(ElfNotes::parse(b"#!/bin/sh\n").unwrap_err(), ElfError::NotElf);

    let arm = MadeElf { machine: 183, ..with_notes(&[]) };
    assert_eq!(ElfNotes::parse(&arm.bytes()).unwrap().machine(), Machine::Aarch64);
}

#[test]
fn a_malformed_note_is_named() {
    let mut notes = [note(1, 0, 0), note(2, 0, 0)].iter().flat_map(note_bytes).collect::<Vec<_>>();
    // The NUL behind the second note's arguments.
    *notes.last_mut().unwrap() = b'x';
    let mut file = with_notes(&[]);
    file.notes = Some(notes);
    let error = ElfNotes::parse(&file.bytes()).unwrap_err();
    assert_eq!(error.to_string(), "its USDT note 2 is malformed: it ends too early");
}

#[test]
fn a_section_larger_than_any_real_one_is_not_read() {
    let file = tempfile::tempfile().unwrap();
    let size = 1 << 40;
    let mut bytes = with_notes(&[note(1, 0, 0)]).bytes();
    // sh_size of .note.stapsdt, the third of four sections.
    let at = bytes.len() - 2 * 64 + 32;
    bytes[at..at + 8].copy_from_slice(&(size - 4096_u64).to_le_bytes());
    std::io::Write::write_all(&mut &file, &bytes).unwrap();
    file.set_len(size).unwrap();
    assert!(matches!(ElfNotes::read(&file), Err(ElfError::Damaged(_))));
}

#[test]
fn a_file_is_read_as_its_bytes_are() {
    let bytes = trixie(TRIXIE_NOTES.to_vec()).bytes();
    let file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &file, &bytes).unwrap();
    let (read, parsed) = (ElfNotes::read(&file).unwrap(), ElfNotes::parse(&bytes).unwrap());
    assert_eq!(read.notes(), parsed.notes());
    assert_eq!(read.place(&read.notes()[3]), parsed.place(&parsed.notes()[3]));
}

/// Goes through all that can be asked.
fn use_all(bytes: &[u8]) {
    if let Ok(elf) = ElfNotes::parse(bytes) {
        for note in elf.notes() {
            let _ = elf.place(note);
            let _ = Argument::parse_all(elf.machine(), &note.arguments);
        }
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in vec(any::<u8>(), 0..4096)) {
        use_all(&bytes);
        use_all(&[b"\x7fELF\x02\x01", &bytes[..]].concat());
        use_all(&bookworm(bytes).bytes());
    }

    #[test]
    fn mutations_of_real_files_do_no_harm(
        mutations in vec((any::<Index>(), any::<u8>()), 1..8),
        cut in any::<Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = trixie(TRIXIE_NOTES.to_vec()).bytes();
        for (at, byte) in mutations {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        use_all(&bytes);
    }

    #[test]
    fn headers_of_any_size_do_no_harm(
        fields in vec((select(vec![32_usize, 40, 52, 54, 56, 58, 60, 62]), any::<u16>()), 1..4),
    ) {
        let mut bytes = trixie(TRIXIE_NOTES.to_vec()).bytes();
        for (at, value) in fields {
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        use_all(&bytes);
    }

    #[test]
    fn what_is_written_is_read(
        notes in vec(("[a-z_]{0,20}", "[a-z_]{0,20}", "[^\\x00]{0,30}", any::<[u64; 3]>()), 0..6),
    ) {
        let notes: Vec<_> = notes
            .into_iter()
            .map(|(provider, name, arguments, [location, base, semaphore])| Note {
                provider,
                name,
                arguments,
                ..note(location, base, semaphore)
            })
            .collect();
        let elf = ElfNotes::parse(&with_notes(&notes).bytes()).unwrap();
        prop_assert_eq!(elf.notes(), &notes[..]);
        use_all(&with_notes(&notes).bytes());
    }
}
