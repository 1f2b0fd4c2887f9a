//! Escape sequences that Python's string and bytes literals share.

use super::literal::SyntaxFault;

/// What an escape sequence stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Escape {
    /// A byte, but that octal sequences reach to 0o777; in a string, a code point.
    pub(super) value: u32,
    /// Characters behind the backslash that belong to it. None, if the backslash stands for itself
    /// because no known sequence follows.
    pub(super) len: usize,
}

/// Value of each hexadecimal digit; anything else has a bit beyond the lower four.
const HEX: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        table[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

/// The escape sequence whose backslash stands before `text`.
#[inline]
pub(super) const fn escape(text: &[u8]) -> Result<Escape, SyntaxFault> {
    let value = match text {
        [b'x', high, low, ..] => {
            let (high, low) = (HEX[*high as usize], HEX[*low as usize]);
            if (high | low) > 0xf {
                return Err(SyntaxFault::BadEscape);
            }
            return Ok(Escape { value: ((high << 4) | low) as u32, len: 3 });
        }
        [b'x', ..] => return Err(SyntaxFault::BadEscape),
        [b'0'..=b'7', ..] => return Ok(octal(text)),
        [c @ (b'\\' | b'\'' | b'"'), ..] => *c,
        [b'n', ..] => b'\n',
        [b'r', ..] => b'\r',
        [b't', ..] => b'\t',
        [b'a', ..] => 0x07,
        [b'b', ..] => 0x08,
        [b'v', ..] => 0x0b,
        [b'f', ..] => 0x0c,
        _ => return Ok(Escape { value: b'\\' as u32, len: 0 }),
    };
    Ok(Escape { value: value as u32, len: 1 })
}

/// Up to three octal digits.
const fn octal(text: &[u8]) -> Escape {
    let mut value = 0;
    let mut len = 0;
    while len < 3 && len < text.len() && matches!(text[len], b'0'..=b'7') {
        value = value * 8 + (text[len] - b'0') as u32;
        len += 1;
    }
    Escape { value, len }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_stands_for_what_python_says() {
        for (text, value, len) in [
            (r"x00\x", 0x00, 3),
            ("xfF", 0xff, 3),
            (r"\n", 0x5c, 1),
            ("'", 0x27, 1),
            ("\"", 0x22, 1),
            ("a", 0x07, 1),
            ("b", 0x08, 1),
            ("t", 0x09, 1),
            ("n", 0x0a, 1),
            ("v", 0x0b, 1),
            ("f", 0x0c, 1),
            ("r", 0x0d, 1),
            ("0", 0x00, 1),
            ("08", 0x00, 1),
            ("101A", 0x41, 3),
            ("777", 0x1ff, 3),
            ("1234", 0o123, 3),
        ] {
            assert_eq!(escape(text.as_bytes()), Ok(Escape { value, len }), "{text}");
        }
    }

    #[test]
    fn a_backslash_before_anything_else_stands_for_itself() {
        for text in ["", "q", "8", "N", "é"] {
            assert_eq!(escape(text.as_bytes()), Ok(Escape { value: 0x5c, len: 0 }), "{text}");
        }
    }

    #[test]
    fn hexadecimal_sequences_want_two_digits() {
        for text in ["x", "x1", "x1g", "x-1", "xg1"] {
            assert_eq!(escape(text.as_bytes()), Err(SyntaxFault::BadEscape), "{text}");
        }
    }
}
