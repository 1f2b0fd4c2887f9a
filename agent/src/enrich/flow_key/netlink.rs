//! Netlink attributes in bytes that may have been cut short.

use std::iter::FusedIterator;

/// Length and type, both u16 in host byte order (`struct nlattr`).
const HEADER: usize = 4;

/// `NLA_TYPE_MASK`: the type without the flags `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const TYPE_MASK: u16 = 0x3fff;

/// A run of netlink attributes: how long it is, and as much of it as was captured.
///
/// Iterates over the attributes.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    len: usize,
    bytes: &'a [u8],
}

/// Where the iteration over [`Attributes`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest<'a> {
    /// At the end of the run.
    Nothing,
    /// Where the capture ended.
    Cut,
    /// At `len` bytes that are no attribute, of which these were captured.
    Leftover {
        /// How many bytes are no attribute.
        len: usize,
        /// The captured ones.
        bytes: &'a [u8],
    },
}

impl<'a> Attributes<'a> {
    /// A run of `len` bytes; what `bytes` holds beyond that does not belong to it.
    pub(super) fn new(len: usize, bytes: &'a [u8]) -> Self {
        Self { len, bytes: &bytes[..bytes.len().min(len)] }
    }

    /// Bytes that the remaining attributes take, captured or not.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether the capture ended before the run.
    pub(super) const fn is_cut(&self) -> bool {
        self.bytes.len() < self.len
    }

    /// What is left after the last attribute.
    pub(super) const fn rest(&self) -> Rest<'a> {
        if self.len == 0 {
            Rest::Nothing
        } else if self.is_cut() && self.bytes.len() < HEADER {
            Rest::Cut
        } else {
            Rest::Leftover { len: self.len, bytes: self.bytes }
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (&[len0, len1, type0, type1], payload) = self.bytes.split_first_chunk::<HEADER>()?;
        let len = usize::from(u16::from_ne_bytes([len0, len1]));
        if len < HEADER || len > self.len {
            return None;
        }
        let attribute = Attribute {
            number: u16::from_ne_bytes([type0, type1]) & TYPE_MASK,
            len: len - HEADER,
            bytes: &payload[..payload.len().min(len - HEADER)],
        };
        let padded = len.next_multiple_of(4).min(self.len);
        self.len -= padded;
        self.bytes = self.bytes.get(padded..).unwrap_or_default();
        Some(attribute)
    }
}

impl FusedIterator for Attributes<'_> {}

/// One attribute: its type, and as much of its payload as was captured.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    number: u16,
    len: usize,
    bytes: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The type's number, without netlink's flags.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// Length of the whole payload in bytes.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The captured bytes of the payload, in the byte orders that the kernel's header states.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether a part of the payload was not captured.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.bytes.len() < self.len
    }

    /// The payload, if it is whole and `N` bytes long.
    #[must_use]
    pub fn value<const N: usize>(&self) -> Option<[u8; N]> {
        if self.is_cut() { None } else { self.bytes.try_into().ok() }
    }

    /// The payload as attributes of its own.
    #[must_use]
    pub const fn nested(&self) -> Attributes<'a> {
        Attributes { len: self.len, bytes: self.bytes }
    }
}
