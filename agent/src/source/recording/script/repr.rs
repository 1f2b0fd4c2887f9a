//! Literals as Python's `repr` writes them (`bytes_repr` and `unicode_repr` of CPython's
//! Objects/bytesobject.c and unicodeobject.c).

use std::io::Write as _;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Double quotes if that saves escaping single ones.
fn quote_for(bytes: &[u8]) -> u8 {
    if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' }
}

/// What follows the backslash, if a byte is written with one and another.
const fn short_escape(byte: u8, quote: u8) -> Option<u8> {
    match byte {
        b'\t' => Some(b't'),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\\' => Some(b'\\'),
        _ if byte == quote => Some(quote),
        _ => None,
    }
}

/// Appends a bytes literal of `bytes` with so many NULs behind them.
pub(super) fn bytes(out: &mut Vec<u8>, bytes: &[u8], nuls: u32) {
    let quote = quote_for(bytes);
    out.extend([b'b', quote]);
    for &byte in bytes {
        if let Some(escape) = short_escape(byte, quote) {
            out.extend([b'\\', escape]);
        } else if matches!(byte, b' '..=b'~') {
            out.push(byte);
        } else {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]);
            out.extend([b'\\', b'x', high, low]);
        }
    }
    for _ in 0..nuls {
        out.extend(br"\x00");
    }
    out.push(quote);
}

/// Appends a string literal. Bytes that are not UTF-8 become U+FFFD, as they do where names are
/// read. Beyond ASCII, what Rust thinks cannot be printed is escaped: Python, whose opinion is from
/// another version of Unicode, reads it all the same.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    let quote = quote_for(text);
    out.push(quote);
    for c in String::from_utf8_lossy(text).chars() {
        match u8::try_from(c).ok().and_then(|byte| short_escape(byte, quote)) {
            Some(escape) => out.extend([b'\\', escape]),
            None if is_printable(c) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            None => {
                let written = match u32::from(c) {
                    code @ ..=0xff => write!(out, "\\x{code:02x}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
                debug_assert!(written.is_ok(), "a Vec takes everything");
            }
        }
    }
    out.push(quote);
}

/// Whether a character is written as it is.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~') || (!c.is_ascii() && c.escape_debug().len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Each pair was printed by CPython 3.11.
    #[test]
    fn bytes_are_what_python_prints() {
        for (value, expected) in [
            (&b""[..], "b''"),
            (b"'", r#"b"'""#),
            (b"\"", r#"b'"'"#),
            (b"'\"", r#"b'\'"'"#),
            (b"\t\n\r\\\x0b\x0c\0", r"b'\t\n\r\\\x0b\x0c\x00'"),
            (b" ~\x7f\x80\xff", r"b' ~\x7f\x80\xff'"),
            (b"\x1bE\x00\x12", r"b'\x1bE\x00\x12'"),
        ] {
            assert_eq!(written(|out| bytes(out, value, 0)), expected);
        }
        assert_eq!(written(|out| bytes(out, b"a'", 2)), r#"b"a'\x00\x00""#);
    }

    #[test]
    fn strings_are_what_python_prints() {
        for (value, expected) in [
            ("ovs-system", "'ovs-system'"),
            ("it's", r#""it's""#),
            ("'\"\\\t", r#"'\'"\\\t'"#),
            ("é€😀", "'é€😀'"),
            ("\0\x7f\u{80}\u{200b}\u{e0001}", r"'\x00\x7f\x80\u200b\U000e0001'"),
        ] {
            assert_eq!(written(|out| string(out, value.as_bytes())), expected);
        }
        assert_eq!(written(|out| string(out, b"p\xff")), "'p\u{fffd}'");
    }
}
