//! Who has to show a token, and who shows it.

use std::sync::Arc;

use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::token::Token;

/// Lets in who shows the token, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Guard(pub(crate) Option<Arc<Token>>);

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            token.check(request.metadata())?;
        }
        Ok(request)
    }
}

/// Shows the token, if there is one.
#[derive(Clone, Debug)]
pub struct Shows(pub(crate) Option<Token>);

impl Interceptor for Shows {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            token.show(request.metadata_mut());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &[u8]) -> Token {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Token::read(file.path()).unwrap()
    }

    #[test]
    fn only_the_token_itself_is_let_in() {
        let right = token(b"0123456789abcdef\n");
        let wrong = token(b"0123456789abcdeg");
        let mut guard = Guard(Some(Arc::new(right.clone())));
        let shown = |token| Shows(token).call(Request::new(())).unwrap();
        assert!(guard.call(shown(Some(right))).is_ok());
        assert!(guard.call(shown(Some(wrong))).is_err());
        assert!(guard.call(shown(None)).is_err());
        assert!(Guard(None).call(shown(None)).is_ok());
    }
}
