//! Bearer tokens: secrets that clients show.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use subtle::ConstantTimeEq;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::export::Invalid;

/// Header that carries the token.
const HEADER: &str = "authorization";

/// What comes before it there; [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-11.1)
/// takes any case.
const SCHEME: &str = "Bearer ";

/// Fewest characters: fewer can be guessed.
const MIN: usize = 16;

/// Most bytes of a file: it may be one without an end.
const MAX_FILE: usize = 8 << 10;

/// A secret that server and client share. It is no part of any message or log.
#[derive(Clone)]
pub(crate) struct Token {
    /// As it is sent: with the scheme before it.
    value: MetadataValue<Ascii>,
}

impl Token {
    /// Reads the token of a file, without white space around it.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold a token.
    pub(crate) fn read(path: &Path) -> Result<Self, Invalid> {
        let text =
            read_start(path).map_err(|error| Invalid::Read { path: path.to_owned(), error })?;
        let no_token = || Invalid::Token { path: path.to_owned(), least: MIN };
        let text = Some(text).filter(|text| text.len() <= MAX_FILE).ok_or_else(no_token)?;
        Self::parse(&text).ok_or_else(no_token)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let token = std::str::from_utf8(text.trim_ascii()).ok()?;
        if token.len() < MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut value: MetadataValue<_> = format!("{SCHEME}{token}").parse().ok()?;
        value.set_sensitive(true);
        Some(Self { value })
    }

    /// Shows it in the headers of a request.
    pub(crate) fn show(&self, headers: &mut MetadataMap) {
        headers.insert(HEADER, self.value.clone());
    }

    /// Lets a request in whose headers show this token.
    ///
    /// # Errors
    /// UNAUTHENTICATED.
    pub(crate) fn check(&self, headers: &MetadataMap) -> Result<(), Status> {
        if self.is_in(headers) {
            return Ok(());
        }
        Err(Status::unauthenticated("the bearer token is missing or wrong"))
    }

    /// Whether the headers of a request show this token. How long that takes tells nothing but
    /// whether the length is right.
    fn is_in(&self, headers: &MetadataMap) -> bool {
        let shown = headers.get(HEADER).map(|value| value.as_bytes()).unwrap_or_default();
        let Some((scheme, shown)) = shown.split_at_checked(SCHEME.len()) else { return false };
        let token = self.value.as_bytes().get(SCHEME.len()..).unwrap_or_default();
        scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) && shown.ct_eq(token).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The file, or enough of it to see that it is too long.
fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn only_the_token_itself_is_taken() {
        let token = Token::parse(TOKEN.as_bytes()).expect("a token");
        let with = |value: &str| {
            let mut headers = MetadataMap::new();
            headers.insert(HEADER, value.parse().expect("a header"));
            token.is_in(&headers)
        };
        assert!(with("Bearer 0123456789abcdef") && with("bearer 0123456789abcdef"));
        for wrong in ["0123456789abcde", "0123456789abcdeff", "0123456789abcdeF", ""] {
            assert!(!with(&format!("Bearer {wrong}")), "{wrong}");
        }
        assert!(!with(TOKEN) && !with("Basic 0123456789abcdef") && !with(""));
        assert!(!token.is_in(&MetadataMap::new()));
        let mut headers = MetadataMap::new();
        token.show(&mut headers);
        assert!(token.is_in(&headers));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let read = |text: &[u8]| {
            std::fs::write(file.path(), text).expect("a file");
            Token::read(file.path())
        };
        for text in [
            &b""[..],
            b"short",
            b"0123456789 abcdef",
            b"0123456789abcdef\n0123456789abcdef",
            b"\xff\xff0123456789abcdef",
            &[b'a'; MAX_FILE + 1],
        ] {
            let error = read(text).expect_err("no token").to_string();
            assert!(error.contains("holds no token"), "{error}");
        }
        assert!(Token::read(Path::new("/dev/zero")).is_err());
        let token = read(b"  0123456789abcdef\r\n").expect("a token");
        assert!(!format!("{token:?} {:?}", token.value).contains(TOKEN));
    }
}
