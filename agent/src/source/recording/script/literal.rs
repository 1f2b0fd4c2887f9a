//! Python literals, as far as recordings hold them: dicts, strings, bytes and integers, in all the
//! ways that Python's `repr` writes and `ast.literal_eval` reads them (lexical rules: the Python
//! Language Reference, §2.4 "Literals").

use super::escape::{Escape, escape};

/// Why text is not the literal that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxFault {
    /// Something else stands here.
    #[error("{0} expected")]
    Expected(&'static str),
    /// An integer beyond 64 bits.
    #[error("the number is too large")]
    NumberTooLarge,
    /// The quote that ends a string is missing.
    #[error("the string is not closed")]
    Unclosed,
    /// An escape sequence without its hexadecimal digits.
    #[error("the escape sequence lacks hexadecimal digits")]
    BadEscape,
    /// A byte that Python takes only as an escape sequence: NUL, or in a bytes literal one that is
    /// not ASCII.
    #[error("the byte {0:#04x} must be escaped")]
    Unescaped(u8),
}

/// A [`SyntaxFault`] and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {fault}")]
pub struct SyntaxError {
    /// 1-based position in the line, in bytes.
    pub column: usize,
    /// What is wrong there.
    pub fault: SyntaxFault,
}

/// Bytes decoded from a literal. Keep it and use it again: its memory grows to the longest literal
/// and stays, so that decoding costs no allocation.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// Room; what is behind `len` is of earlier literals.
    buffer: Vec<u8>,
    len: usize,
}

impl Decoded {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    /// At least `len` bytes to write to.
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        &mut self.buffer
    }
}

/// Four NUL bytes as `repr` writes them. Captures are padded with NULs, which make up most of a
/// recording.
const NULS: &[u8; 16] = br"\x00\x00\x00\x00";

/// A position in a line, moved over its literals.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Begins at byte `at` of the line `text`.
    pub(super) const fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    const fn error(&self, fault: SyntaxFault) -> SyntaxError {
        SyntaxError { column: self.at + 1, fault }
    }

    const fn expected<T>(&self, what: &'static str) -> Result<T, SyntaxError> {
        Err(self.error(SyntaxFault::Expected(what)))
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'\x0c') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `token` if it is next.
    fn take(&mut self, token: u8) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn require(&mut self, token: u8, what: &'static str) -> Result<(), SyntaxError> {
        if self.take(token) { Ok(()) } else { self.expected(what) }
    }

    /// The end of the line, after white space.
    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
        if self.peek().is_none() { Ok(()) } else { self.expected("the end of the line") }
    }

    /// A dict; `key` and `value` read what their names say, one after the other.
    pub(super) fn dict<K, E: From<SyntaxError>>(
        &mut self,
        mut key: impl FnMut(&mut Self) -> Result<K, E>,
        mut value: impl FnMut(&mut Self, K) -> Result<(), E>,
    ) -> Result<(), E> {
        self.require(b'{', "'{'")?;
        while !self.take(b'}') {
            let key = key(self)?;
            self.require(b':', "':'")?;
            value(self, key)?;
            if !self.take(b',') {
                return Ok(self.require(b'}', "',' or '}'")?);
            }
        }
        Ok(())
    }

    /// An integer in decimal notation, of at most 64 bits and a sign.
    pub(super) fn integer(&mut self) -> Result<i128, SyntaxError> {
        let negative = self.take(b'-');
        let start = self.at;
        let mut magnitude = 0_u64;
        while let Some(digit) = self.text.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            magnitude = magnitude
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(u64::from(digit - b'0')))
                .ok_or_else(|| self.error(SyntaxFault::NumberTooLarge))?;
            self.at += 1;
        }
        if self.at == start {
            return self.expected("a number");
        }
        let magnitude = i128::from(magnitude);
        Ok(if negative { -magnitude } else { magnitude })
    }

    fn quote(&mut self, what: &'static str) -> Result<u8, SyntaxError> {
        match self.text.get(self.at) {
            Some(&quote @ (b'\'' | b'"')) => {
                self.at += 1;
                Ok(quote)
            }
            _ => self.expected(what),
        }
    }

    /// A bytes literal.
    pub(super) fn bytes(&mut self, out: &mut Decoded) -> Result<(), SyntaxError> {
        if !self.take(b'b') && !self.take(b'B') {
            return self.expected("a bytes literal");
        }
        let quote = self.quote("a bytes literal")?;
        let text = self.rest();
        // Every escape sequence is at least as long as what it stands for.
        let sink = out.room(text.len());
        let (mut from, mut to) = (0, 0);
        loop {
            let fault = match text.get(from) {
                Some(b'\\') => {
                    let text = &text[from..];
                    if text.starts_with(NULS) {
                        sink[to..to + NULS.len() / 4].fill(0);
                        from += NULS.len();
                        to += NULS.len() / 4;
                        continue;
                    }
                    match escape(&text[1..]) {
                        Ok(Escape { value, len }) => {
                            // Octal escapes beyond a byte lose their high bits, as in Python.
                            sink[to] = (value & 0xff) as u8;
                            from += 1 + len;
                            to += 1;
                            continue;
                        }
                        Err(fault) => fault,
                    }
                }
                Some(&byte) if byte == quote => break,
                Some(&byte) if byte.is_ascii() && byte != 0 => {
                    sink[to] = byte;
                    from += 1;
                    to += 1;
                    continue;
                }
                Some(&byte) => SyntaxFault::Unescaped(byte),
                None => SyntaxFault::Unclosed,
            };
            self.at += from;
            return Err(self.error(fault));
        }
        out.len = to;
        self.at += from + 1;
        Ok(())
    }

    /// A string literal, as UTF-8. It is borrowed from the line if it can be, else decoded into
    /// `scratch`.
    pub(super) fn string<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], SyntaxError>
    where
        'a: 's,
    {
        self.peek();
        let quote = self.quote("a string")?;
        let text = self.rest();
        let plain = text.iter().position(|&byte| byte == quote || byte == b'\\' || byte == 0);
        if let Some(len) = plain
            && text[len] == quote
        {
            self.at += len + 1;
            return Ok(&text[..len]);
        }
        scratch.clear();
        loop {
            match self.text.get(self.at) {
                Some(b'\\') => {
                    self.at += 1;
                    let Escape { value, len } = unicode_escape(self.rest())
                        .unwrap_or_else(|| escape(self.rest()))
                        .map_err(|fault| self.error(fault))?;
                    // Python's strings may hold lone surrogates, which UTF-8 has no form for.
                    let c = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                    scratch.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += len;
                }
                Some(&byte) if byte == quote => break,
                Some(0) => return Err(self.error(SyntaxFault::Unescaped(0))),
                Some(&byte) => {
                    scratch.push(byte);
                    self.at += 1;
                }
                None => return Err(self.error(SyntaxFault::Unclosed)),
            }
        }
        self.at += 1;
        Ok(scratch)
    }

    /// Moves over a value of any type, up to the `,` or `}` after it. Of its syntax only quotes
    /// and brackets are looked at.
    pub(super) fn skip_value(&mut self) -> Result<(), SyntaxError> {
        self.peek();
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\'' | b'"' => {
                    self.skip_string(byte)?;
                    continue;
                }
                b'(' | b'[' | b'{' => depth += 1,
                b',' | b'}' if depth == 0 => break,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
        if self.at == start { self.expected("a value") } else { Ok(()) }
    }

    fn skip_string(&mut self, quote: u8) -> Result<(), SyntaxError> {
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == quote {
                return Ok(());
            }
        }
        Err(self.error(SyntaxFault::Unclosed))
    }
}

/// What string literals have beyond [`escape`]: `\uXXXX` and `\UXXXXXXXX`. `None` if it is neither.
fn unicode_escape(text: &[u8]) -> Option<Result<Escape, SyntaxFault>> {
    let len = match text.first()? {
        b'u' => 4,
        b'U' => 8,
        _ => return None,
    };
    let value = text
        .get(1..=len)
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    Some(value.map(|value| Escape { value, len: 1 + len }).ok_or(SyntaxFault::BadEscape))
}
