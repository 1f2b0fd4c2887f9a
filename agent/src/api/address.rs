//! Where the API listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::DEFAULT_SOCKET;

/// An address to listen on, or none: then there is no API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<Address>);

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket at this path.
    Unix(PathBuf),
    /// TCP without TLS.
    Http(SocketAddr),
    /// TCP with TLS.
    Https(SocketAddr),
}

/// An address that cannot be listened on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has not the form.
    #[error(
        "'{0}' is no address: write unix:PATH, https://ADDRESS:PORT, http://127.0.0.1:PORT or off"
    )]
    Form(String),
    /// The path of a socket.
    #[error("a socket needs an absolute path, as in unix:/run/upspan/upspan.sock")]
    Path,
    /// The part behind the scheme.
    #[error("'{0}' is no ADDRESS:PORT, such as 127.0.0.1:4319 or [::]:4319")]
    Tcp(String),
}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "off" { Ok(Self(None)) } else { text.parse().map(Some).map(Self) }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let tcp = |address: &str| {
            let address = address.strip_suffix('/').unwrap_or(address);
            address.parse().map_err(|_| AddressError::Tcp(address.to_owned()))
        };
        if let Some(path) = text.strip_prefix("unix:") {
            // unix:///path is the same as unix:/path.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(AddressError::Path)
            }
        } else if let Some(address) = text.strip_prefix("http://") {
            Ok(Self::Http(tcp(address)?))
        } else if let Some(address) = text.strip_prefix("https://") {
            Ok(Self::Https(tcp(address)?))
        } else {
            Err(AddressError::Form(text.to_owned()))
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
        }
    }
}

impl Listen {
    /// Whether there is an API.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl Address {
    /// The unix socket on which an agent listens that is not told otherwise.
    #[must_use]
    pub fn default_socket() -> Self {
        Self::Unix(DEFAULT_SOCKET.into())
    }

    /// Whether other nodes may reach it.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Http(address) | Self::Https(address) => !address.ip().is_loopback(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses() {
        for (text, same) in [
            ("off", "off"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("http://127.0.0.1:80/", "http://127.0.0.1:80"),
            ("https://[::]:4319", "https://[::]:4319"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), same);
        }
        for text in ["", "on", "unix:", "unix:a.sock", "127.0.0.1:80", "http://localhost:80"] {
            text.parse::<Listen>().unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(unix:|https?://|off)?\\PC{0,20}") {
            if let Ok(listen) = text.parse::<Listen>() {
                prop_assert_eq!(listen.to_string().parse(), Ok(listen));
            }
        }
    }
}
