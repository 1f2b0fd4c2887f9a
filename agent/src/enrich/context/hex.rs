//! Hexadecimal digits as ids are written.

/// Which digits above 9 count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// `a` to `f` only.
    Lower,
    /// `A` to `F`, too.
    Either,
}

/// The bytes of exactly `2 * N` digits.
pub(super) fn bytes<const N: usize>(digits: &[u8], case: Case) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0], case)? << 4 | value(pair[1], case)?;
    }
    Some(bytes)
}

const fn value(digit: u8, case: Case) -> Option<u8> {
    match (digit, case) {
        (b'0'..=b'9', _) => Some(digit - b'0'),
        (b'a'..=b'f', _) => Some(digit - b'a' + 10),
        (b'A'..=b'F', Case::Either) => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_digits_of_the_case() {
        assert_eq!(bytes(b"00ff", Case::Lower), Some([0x00, 0xff]));
        assert_eq!(bytes(b"A9fB", Case::Either), Some([0xa9, 0xfb]));
        assert_eq!(bytes::<2>(b"A9fb", Case::Lower), None);
        for wrong in [&b"0"[..], b"000", b"0 00", b"+000", b"00g0", b"00:0", b"00/0", b"00`0"] {
            assert_eq!(bytes::<2>(wrong, Case::Either), None);
        }
    }
}
