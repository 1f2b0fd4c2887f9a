//! The bearer token that applications show.

use std::path::Path;

use tonic::metadata::MetadataMap;

use crate::export::Invalid;

/// Longest file of a token, in bytes.
const MAX_FILE: usize = 8 << 10;

/// A secret.
#[derive(Clone)]
pub(super) struct Token(Vec<u8>);

impl Token {
    /// Reads the token of a file, without white space around it.
    pub(super) fn read(path: &Path) -> Result<Self, Invalid> {
        let no_token = || Invalid::Token { path: path.to_owned() };
        let text =
            std::fs::read(path).map_err(|error| Invalid::Read { path: path.to_owned(), error })?;
        let token = text.trim_ascii();
        let is_token =
            !token.is_empty() && token.len() <= MAX_FILE && token.iter().all(u8::is_ascii_graphic);
        if is_token { Ok(Self(token.to_owned())) } else { Err(no_token()) }
    }

    /// Whether the headers of a request show this token. How long that takes tells nothing but
    /// whether the length is right.
    pub(super) fn is_in(&self, headers: &MetadataMap) -> bool {
        let shown = headers.get("authorization").map(|value| value.as_bytes()).unwrap_or_default();
        let Some((scheme, shown)) = shown.split_at_checked(b"Bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ")
            && shown.len() == self.0.len()
            && shown.iter().zip(&self.0).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_taken() {
        let token = Token(b"secret".to_vec());
        let with = |value: &str| {
            let mut headers = MetadataMap::new();
            headers.insert("authorization", value.parse().expect("a header"));
            token.is_in(&headers)
        };
        assert!(with("Bearer secret") && with("bearer secret"));
        assert!(!with("Bearer secre") && !with("Bearer secrets") && !with("Bearer secreT"));
        assert!(!with("secret") && !with("Basic secret") && !with("Bearer ") && !with(""));
        assert!(!token.is_in(&MetadataMap::new()));
    }
}
