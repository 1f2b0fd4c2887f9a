//! The literals themselves.

use super::literal::Decoded;
use super::*;

fn bytes(text: &[u8]) -> Result<Vec<u8>, SyntaxError> {
    let mut out = Decoded::default();
    let mut cursor = Cursor::new(text, 0);
    cursor.bytes(&mut out)?;
    cursor.end()?;
    Ok(out.as_slice().to_vec())
}

fn string(text: &str) -> Result<Vec<u8>, SyntaxError> {
    Ok(Cursor::new(text.as_bytes(), 0).string(&mut Vec::new())?.to_vec())
}

fn fault<T>(result: Result<T, SyntaxError>) -> SyntaxFault {
    result.map(|_| ()).unwrap_err().fault
}

#[test]
fn bytes_literals() {
    for (text, expected) in [
        (r"b''", &b""[..]),
        (r#"b"""#, b""),
        (r"  B'a'  ", b"a"),
        (r#"b"it's""#, b"it's"),
        (r#"b'\'"\''"#, b"'\"'"),
        (r"b'\\'", b"\\"),
        (r"b'\\x00'", b"\\x00"),
        (r"b'\x00\x00\x00\x00\x00\x00\x00\x00\x00'", b"\0\0\0\0\0\0\0\0\0"),
        (r"b'\x00\x00\x00\x01\x00\x00\x00'", b"\0\0\0\x01\0\0\0"),
        (r"b'\t\n\r\xff~'", b"\t\n\r\xff~"),
        (r"b'\a\b\f\v'", b"\x07\x08\x0c\x0b"),
        (r"b'\0\18\377\400\777'", b"\0\x018\xff\x00\xff"),
        (r"b'\q\u0041\N{BULLET}'", br"\q\u0041\N{BULLET}"),
        ("b'\t\x7f'", b"\t\x7f"),
    ] {
        assert_eq!(bytes(text.as_bytes()), Ok(expected.to_vec()), "{text}");
    }
}

#[test]
fn broken_bytes_literals() {
    for (text, expected) in [
        (&b"b'"[..], SyntaxFault::Unclosed),
        (br"b'\'", SyntaxFault::Unclosed),
        (br"b'\", SyntaxFault::Unclosed),
        (b"b'abc\"", SyntaxFault::Unclosed),
        (br"b'\x0", SyntaxFault::BadEscape),
        (br"b'\x0g'", SyntaxFault::BadEscape),
        (b"b'\xc3\xa9'", SyntaxFault::Unescaped(0xc3)),
        (b"b'\0'", SyntaxFault::Unescaped(0)),
        (b"'abc'", SyntaxFault::Expected("a bytes literal")),
        (b"b 'abc'", SyntaxFault::Expected("a bytes literal")),
        (b"b'a' b'b'", SyntaxFault::Expected("the end of the line")),
        (b"", SyntaxFault::Expected("a bytes literal")),
    ] {
        assert_eq!(fault(bytes(text)), expected, "{}", text.escape_ascii());
    }
    assert_eq!(bytes(br"b'ab\xzz'").unwrap_err().column, 5);
}

#[test]
fn a_buffer_used_again_shows_only_the_last_literal() {
    let mut out = Decoded::default();
    Cursor::new(b"b'a longer one'", 0).bytes(&mut out).unwrap();
    Cursor::new(b"b'short'", 0).bytes(&mut out).unwrap();
    assert_eq!(out.as_slice(), b"short");
}

#[test]
fn strings() {
    for (text, expected) in [
        (r"'p1'", "p1"),
        (r#""it's""#, "it's"),
        (r"'\'\x41\101\n'", "'AA\n"),
        (r"'\xe9\u20ac\U0001F600'", "é€😀"),
        (r"'\udcff'", "\u{fffd}"),
        ("'é'", "é"),
        (r"'\d'", r"\d"),
    ] {
        assert_eq!(string(text), Ok(expected.as_bytes().to_vec()), "{text}");
    }
    for (text, expected) in [
        (r"'p1", SyntaxFault::Unclosed),
        (r"'\", SyntaxFault::Unclosed),
        (r"'\u00g0'", SyntaxFault::BadEscape),
        (r"'\u+041'", SyntaxFault::BadEscape),
        (r"'\U0001'", SyntaxFault::BadEscape),
        ("'\0'", SyntaxFault::Unescaped(0)),
        ("7", SyntaxFault::Expected("a string")),
    ] {
        assert_eq!(fault(string(text)), expected, "{text}");
    }
}

#[test]
fn integers() {
    let integer = |text: &str| Cursor::new(text.as_bytes(), 0).integer();
    assert_eq!(integer("0"), Ok(0));
    assert_eq!(integer(" 18446744073709551615,"), Ok(u64::MAX.into()));
    assert_eq!(integer("-18446744073709551615"), Ok(-i128::from(u64::MAX)));
    assert_eq!(fault(integer("18446744073709551616")), SyntaxFault::NumberTooLarge);
    assert_eq!(fault(integer(&"9".repeat(5000))), SyntaxFault::NumberTooLarge);
    for text in ["", "-", "- 1", "x", "'1'"] {
        assert_eq!(fault(integer(text)), SyntaxFault::Expected("a number"), "{text}");
    }
}

#[test]
fn values_of_any_type_are_skipped() {
    for value in [
        "1",
        "-1.5e3",
        "None",
        "True",
        "'},'",
        r#"b"\"},""#,
        r"'\\'",
        "(1, 2)",
        "[{'a': '}'}, ({},)]",
        "{'a': {'b': [1, '}']}}",
    ] {
        for after in [",", "}", ", 'x': 1}"] {
            let text = format!("{value}{after}");
            let mut cursor = Cursor::new(text.as_bytes(), 0);
            assert_eq!(cursor.skip_value(), Ok(()), "{text}");
            assert_eq!(cursor.rest(), after.as_bytes(), "{text}");
        }
    }
    assert_eq!(fault(Cursor::new(b" , 1", 0).skip_value()), SyntaxFault::Expected("a value"));
    assert_eq!(fault(Cursor::new(b"'abc", 0).skip_value()), SyntaxFault::Unclosed);
    assert_eq!(fault(Cursor::new(br"'abc\", 0).skip_value()), SyntaxFault::Unclosed);
}
