//! Reads protobuf wire bytes field by field, without building messages.
//!
//! It takes what prost takes: fields in any order, unknown ones, and groups, which nobody writes any
//! more. Nothing is copied or allocated, and arbitrary bytes are an error at worst.

use thiserror::Error;

/// Groups in groups that are followed, as many as prost does.
const MAX_DEPTH: u32 = 100;

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    /// A field or a length goes beyond the end.
    #[error("a field goes beyond the end of its message")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("a number has more than 64 bits")]
    Varint,
    /// Field 0, or a wire type that does not exist.
    #[error("a field has an impossible key")]
    Key,
    /// A group that does not end, or too many in each other.
    #[error("a group does not end")]
    Group,
    /// A known field has a wire type that is not its own.
    #[error("field {0} has the wrong type")]
    Type(u32),
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Group,
    Fixed32(u32),
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
}

impl<'a> Field<'a> {
    /// The content of a string, of bytes, or of a message.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Type(self.number)),
        }
    }

    pub(crate) fn varint(self) -> Result<u64, Malformed> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(Malformed::Type(self.number)),
        }
    }

    pub(crate) fn fixed64(self) -> Result<u64, Malformed> {
        match self.value {
            Value::Fixed64(value) => Ok(value),
            _ => Err(Malformed::Type(self.number)),
        }
    }
}

/// The fields of a message, in their order. Ends after the first error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// How many bytes are left.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    fn field(&mut self) -> Result<Field<'a>, Malformed> {
        let (number, wire_type) = self.key()?;
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed::Truncated)?;
                Value::Bytes(self.take(len)?)
            }
            3 => {
                self.skip_group(number, 0)?;
                Value::Group
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed::Key),
        };
        Ok(Field { number, value })
    }

    /// Goes on behind the end of the group that has begun.
    fn skip_group(&mut self, group: u32, depth: u32) -> Result<(), Malformed> {
        if depth == MAX_DEPTH {
            return Err(Malformed::Group);
        }
        loop {
            if self.rest.is_empty() {
                return Err(Malformed::Group);
            }
            let before = *self;
            match self.key()? {
                (number, 4) if number == group => return Ok(()),
                (number, 3) => self.skip_group(number, depth + 1)?,
                _ => {
                    *self = before;
                    self.field()?;
                }
            }
        }
    }

    fn key(&mut self) -> Result<(u32, u8), Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed::Key)?;
        match key >> 3 {
            0 => Err(Malformed::Key),
            number => Ok((number, key as u8 & 7)),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().enumerate() {
            // The tenth byte has room for one bit.
            if index == 9 && byte > 1 {
                return Err(Malformed::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Malformed::Truncated)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<Field<'_>>, Malformed> {
        Fields::new(bytes).collect()
    }

    #[test]
    fn every_wire_type_is_read() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: varint 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64
            0x1a, 2, b'h', b'i', // 3: bytes
            0x23, 0x2b, 0x08, 1, 0x2c, 0x24, // 4: a group, with a group 5 in it
            0x35, 2, 0, 0, 0, // 6: fixed32
        ];
        let found: Vec<_> =
            fields(&bytes).unwrap().iter().map(|field| (field.number, field.value)).collect();
        let expected = [
            (1, Value::Varint(150)),
            (2, Value::Fixed64(1)),
            (3, Value::Bytes(b"hi")),
            (4, Value::Group),
            (6, Value::Fixed32(2)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_message_is_said() {
        let groups = [0x0b; 300];
        let cases: [(&[u8], Malformed); 8] = [
            (&[0x08], Malformed::Truncated),
            (&[0x0a, 5, 1], Malformed::Truncated),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], Malformed::Varint),
            (&[0x00, 1], Malformed::Key),
            (&[0x0f], Malformed::Key),
            (&[0x0c], Malformed::Key),
            (&[0x0b, 0x14], Malformed::Key),
            (&groups, Malformed::Group),
        ];
        for (bytes, expected) in cases {
            assert_eq!(fields(bytes), Err(expected), "{bytes:x?}");
        }
        assert_eq!(fields(&[0x0a, 0]).unwrap()[0].varint(), Err(Malformed::Type(1)));
    }

    proptest! {
        /// As prost, of a message without known fields, which it skips all.
        #[test]
        fn the_same_bytes_are_a_message_as_for_prost(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            prop_assert_eq!(fields(&bytes).is_ok(), <()>::decode(&*bytes).is_ok());
        }
    }
}
