//! Notes of USDT probes, as `sys/sdt.h` writes them into the section `.note.stapsdt`.

use super::address::Address;

/// A note, as the file has it: one place where one probe is. A probe in code that the compiler
/// inlined or copied has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What the probe belongs to: in Open vSwitch, a function.
    pub provider: String,
    /// The probe's name within its provider.
    pub name: String,
    /// Where the probe is.
    pub location: Address,
    /// Where the section `.stapsdt.base` was when the file was linked; 0 if unknown.
    pub base: Address,
    /// Where the counter is that must be above zero for the probe to be reached.
    pub semaphore: Option<Address>,
    /// Where the arguments are; [`Argument::parse_all`](super::argument::Argument::parse_all)
    /// reads it.
    pub arguments: String,
}

/// What is wrong with a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// It ends within its three addresses, or a text has no NUL.
    #[error("it ends too early")]
    Short,
    /// A text is not UTF-8.
    #[error("its text is not UTF-8")]
    Text,
}

impl Note {
    /// The name of a note's owner.
    pub(super) const OWNER: &[u8] = b"stapsdt";

    /// Its type: `NT_STAPSDT`.
    pub(super) const TYPE: u32 = 3;

    /// Reads the descriptor of a note of a little-endian 64-bit file: three addresses, then
    /// provider, name and arguments, each with a NUL behind it.
    ///
    /// # Errors
    ///
    /// When it is malformed.
    pub(super) fn parse(descriptor: &[u8]) -> Result<Self, NoteFault> {
        let (location, rest) = address(descriptor)?;
        let (base, rest) = address(rest)?;
        let (semaphore, rest) = address(rest)?;
        let (provider, rest) = text(rest)?;
        let (name, rest) = text(rest)?;
        let (arguments, _) = text(rest)?;
        let semaphore = Some(semaphore).filter(|semaphore| semaphore.0 != 0);
        Ok(Self { provider, name, location, base, semaphore, arguments })
    }
}

fn address(bytes: &[u8]) -> Result<(Address, &[u8]), NoteFault> {
    let (address, rest) = bytes.split_first_chunk().ok_or(NoteFault::Short)?;
    Ok((Address(u64::from_le_bytes(*address)), rest))
}

fn text(bytes: &[u8]) -> Result<(String, &[u8]), NoteFault> {
    let end = memchr::memchr(0, bytes).ok_or(NoteFault::Short)?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| NoteFault::Text)?;
    Ok((text.to_owned(), &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTOR: &[u8] = b"\x01\x02\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0p\0n\0\0";

    #[test]
    fn a_note_has_three_addresses_and_three_texts() {
        let note = Note {
            provider: "p".to_owned(),
            name: "n".to_owned(),
            location: Address(0x201),
            base: Address(3),
            semaphore: None,
            arguments: String::new(),
        };
        assert_eq!(Note::parse(DESCRIPTOR), Ok(note));
    }

    #[test]
    fn a_note_that_is_cut_anywhere_is_too_short() {
        for len in 0..DESCRIPTOR.len() {
            assert_eq!(Note::parse(&DESCRIPTOR[..len]), Err(NoteFault::Short), "{len}");
        }
    }

    #[test]
    fn text_is_utf_8() {
        let mut descriptor = DESCRIPTOR.to_vec();
        descriptor[24] = 0xff;
        assert_eq!(Note::parse(&descriptor), Err(NoteFault::Text));
    }
}
