//! HPACK (RFC 7541), as far as a context needs it.
//!
//! The Huffman code is a library's. The rest is not, as there is none for it: decoders want a
//! connection from its start and each block whole, and give a block up at the first reference to
//! an entry that they do not have. A packet is a piece from the middle. Here such a reference
//! makes one header unknown, and a block that was cut yields the headers before the cut. Headers
//! that do not count are stepped over without being decoded.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use httlib_huffman::DecoderSpeed;

use super::carrier::{Carrier, Name};

/// The static table's entries end here.
const STATIC_ENTRIES: usize = 61;
/// Entries of the static table named `:status`, which only responses have.
const STATUS: std::ops::RangeInclusive<usize> = 8..=14;
/// Bytes of an integer after its first one; four hold any length or index that makes sense.
const MAX_CONTINUATION: usize = 4;
/// Longest value that counts, encoded. Few bytes can repeat it often.
const MAX_VALUE: usize = 1 << 10;
/// Headers that count, in all blocks of a packet. More are not decoded.
const MAX_TAKEN: usize = 64;
/// Entries that are remembered. Each context header adds one per request.
const MAX_REMEMBERED: usize = 32;

/// Decodes the header blocks of one direction in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Entries that these blocks have added to the dynamic table.
    added: usize,
    /// Those of them that count, in their order.
    remembered: Vec<Entry>,
    /// Headers that counted.
    taken: usize,
}

/// An entry of the dynamic table.
#[derive(Debug)]
struct Entry {
    /// How many were added before it.
    position: usize,
    name: Name,
    value: Vec<u8>,
}

impl Decoder {
    /// What a block says, and whether it was read to its end: a request and no response, whole and
    /// understood.
    pub(super) fn request(&mut self, block: &[u8]) -> (Carrier<'static>, bool) {
        let mut carrier = Carrier::default();
        let mut reader = Reader(block);
        while !reader.0.is_empty() {
            let Some(field) = reader.field() else { return (carrier, false) };
            if field.is_status() {
                return (Carrier::default(), false);
            }
            self.take(field, &mut carrier);
            if self.taken > MAX_TAKEN {
                return (carrier, false);
            }
        }
        (carrier, true)
    }

    fn take(&mut self, field: Field<'_>, carrier: &mut Carrier<'static>) {
        match field {
            Field::Indexed(index) => {
                if let Some(entry) = self.entry(index) {
                    carrier.add(entry.name, Cow::Owned(entry.value.clone()));
                    self.taken += 1;
                }
            }
            Field::Literal { name, value, is_added } => {
                let name = match name {
                    FieldName::Indexed(index) => self.entry(index).map(|entry| entry.name),
                    FieldName::Literal(text) => text.name(),
                };
                let position = self.added;
                self.added += usize::from(is_added);
                if let Some((name, value)) = name.zip(value.decode()) {
                    if is_added && self.remembered.len() < MAX_REMEMBERED {
                        self.remembered.push(Entry { position, name, value: value.clone() });
                    }
                    carrier.add(name, Cow::Owned(value));
                    self.taken += 1;
                }
            }
            Field::TableSize => {}
        }
    }

    /// The entry with this index, if it counts and was added by these blocks. The newest entry of
    /// the dynamic table has the lowest index.
    fn entry(&self, index: usize) -> Option<&Entry> {
        let age = index.checked_sub(STATIC_ENTRIES + 1)?;
        let position = self.added.checked_sub(age + 1)?;
        let found = self.remembered.binary_search_by_key(&position, |entry| entry.position).ok()?;
        self.remembered.get(found)
    }
}

/// A field of a block, not decoded yet (section 6).
#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Indexed(usize),
    Literal { name: FieldName<'a>, value: Text<'a>, is_added: bool },
    TableSize,
}

#[derive(Clone, Copy, Debug)]
enum FieldName<'a> {
    Indexed(usize),
    Literal(Text<'a>),
}

impl Field<'_> {
    fn is_status(&self) -> bool {
        match self {
            Self::Indexed(index) | Self::Literal { name: FieldName::Indexed(index), .. } => {
                STATUS.contains(index)
            }
            Self::Literal { .. } | Self::TableSize => false,
        }
    }
}

/// A string literal (section 5.2).
#[derive(Clone, Copy, Debug)]
struct Text<'a> {
    is_huffman: bool,
    bytes: &'a [u8],
}

impl Text<'_> {
    fn name(self) -> Option<Name> {
        if self.is_huffman { Name::huffman(self.bytes) } else { Name::lower(self.bytes) }
    }

    fn decode(self) -> Option<Vec<u8>> {
        if self.bytes.len() > MAX_VALUE {
            return None;
        }
        if !self.is_huffman {
            return Some(self.bytes.to_vec());
        }
        let mut text = Vec::new();
        httlib_huffman::decode(self.bytes, &mut text, DecoderSpeed::FourBits).ok()?;
        Some(text)
    }
}

/// What is left of a block.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next field; `None` where the block is cut or makes no sense.
    fn field(&mut self) -> Option<Field<'a>> {
        let first = *self.0.first()?;
        if first & 0x80 != 0 {
            return self.integer(7).filter(|&index| index > 0).map(Field::Indexed);
        }
        if first & 0xe0 == 0x20 {
            return self.integer(5).map(|_| Field::TableSize);
        }
        let is_added = first & 0x40 != 0;
        let name = match self.integer(if is_added { 6 } else { 4 })? {
            0 => FieldName::Literal(self.text()?),
            index => FieldName::Indexed(index),
        };
        Some(Field::Literal { name, value: self.text()?, is_added })
    }

    fn text(&mut self) -> Option<Text<'a>> {
        let is_huffman = self.0.first()? & 0x80 != 0;
        let len = self.integer(7)?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(Text { is_huffman, bytes })
    }

    /// An integer that begins in the low bits of the next byte (section 5.1).
    fn integer(&mut self, prefix_bits: u32) -> Option<usize> {
        let (&first, mut rest) = self.0.split_first()?;
        let mask = (1_usize << prefix_bits) - 1;
        let mut value = usize::from(first) & mask;
        if value == mask {
            for position in 0.. {
                let (&next, after) = rest.split_first()?;
                rest = after;
                value += usize::from(next & 0x7f) << (7 * position);
                if next & 0x80 == 0 {
                    break;
                }
                if position + 1 == MAX_CONTINUATION {
                    return None;
                }
            }
        }
        self.0 = rest;
        Some(value)
    }
}
