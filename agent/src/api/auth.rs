//! Tokens that clients show.

use std::fmt;
use std::path::Path;

use subtle::ConstantTimeEq;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::export::Invalid;

/// Header that carries the token, after `Bearer `.
const HEADER: &str = "authorization";

/// A secret that server and client share. It is no part of any message or log.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl Token {
    /// Fewest characters: fewer can be guessed.
    const MIN: usize = 16;

    /// Most bytes of a file that is read.
    const MAX: usize = 4096;

    /// Reads the token from the first line of a file.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold a token.
    pub fn read(path: &Path) -> Result<Self, Invalid> {
        let text =
            std::fs::read(path).map_err(|error| Invalid::Read { path: path.to_owned(), error })?;
        let no_token = || Invalid::Token { path: path.to_owned(), least: Self::MIN };
        let text = text.get(..text.len().min(Self::MAX)).unwrap_or_default();
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(|_| no_token())?.trim();
        if line.len() < Self::MIN || line.contains(' ') {
            return Err(no_token());
        }
        let mut value: MetadataValue<_> =
            format!("Bearer {line}").parse().map_err(|_| no_token())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    fn is_shown_by(&self, request: &Request<()>) -> bool {
        let shown = request.metadata().get(HEADER);
        shown.is_some_and(|shown| shown.as_bytes().ct_eq(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Lets in who shows the token, if there is one.
#[derive(Clone, Debug)]
pub(super) struct Guard(pub(super) Option<Token>);

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match &self.0 {
            Some(token) if !token.is_shown_by(&request) => Err(Status::unauthenticated(
                "this upspan wants a token: name its file with --token-file",
            )),
            _ => Ok(request),
        }
    }
}

/// Shows the token, if there is one.
#[derive(Clone, Debug)]
pub struct Shows(pub(super) Option<Token>);

impl Interceptor for Shows {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(Token(value)) = &self.0 {
            request.metadata_mut().insert(HEADER, value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &[u8]) -> Result<Token, Invalid> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Token::read(file.path())
    }

    #[test]
    fn only_the_token_itself_is_let_in() {
        let right = token(b"0123456789abcdef\n").unwrap();
        let wrong = token(b"0123456789abcdeg").unwrap();
        let mut guard = Guard(Some(right.clone()));
        let shown = |token| Shows(token).call(Request::new(())).unwrap();
        assert!(guard.call(shown(Some(right))).is_ok());
        assert!(guard.call(shown(Some(wrong))).is_err());
        assert!(guard.call(shown(None)).is_err());
        assert!(Guard(None).call(shown(None)).is_ok());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in [
            &b""[..],
            b"short",
            b"0123456789 abcdef",
            b"\xff\xff0123456789abcdef",
            b"\n0123456789abcdef",
        ] {
            let error = token(text).unwrap_err().to_string();
            assert!(error.contains("holds no token"), "{error}");
        }
        assert!(!format!("{:?}", token(b"0123456789abcdef").unwrap()).contains("0123"));
    }
}
