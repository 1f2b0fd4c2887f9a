//! Addresses to listen on.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Reads `127.0.0.1:4317`, `[::1]:4317` or `unix:/run/upspan/otlp.sock`; `None` if it is
    /// neither.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => socket_path(path).map(Self::Unix),
            None => text.parse().ok().map(Self::Tcp),
        }
    }

    /// Whether other hosts may reach it.
    pub(super) fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

/// The path behind `unix:`, as gRPC has it: unix:PATH and unix:///PATH.
pub(crate) fn socket_path(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty()).then(|| path.into())
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read() {
        for text in ["127.0.0.1:4317", "[::1]:4317", "0.0.0.0:1", "unix:/run/x.sock", "unix:x.sock"]
        {
            let address = ListenAddress::parse(text).expect(text);
            assert_eq!(address.to_string(), text);
        }
        let three = ListenAddress::parse("unix:///run/x.sock");
        assert_eq!(three, Some(ListenAddress::Unix("/run/x.sock".into())));
        for text in ["", "4317", "localhost:4317", "127.0.0.1", "unix:", "http://127.0.0.1:4317"] {
            assert_eq!(ListenAddress::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(unix:)?\\PC{0,20}") {
            if let Some(address) = ListenAddress::parse(&text) {
                prop_assert_eq!(ListenAddress::parse(&address.to_string()), Some(address));
            }
        }
    }

    #[test]
    fn loopback_and_sockets_are_not_exposed() {
        for (text, exposed) in [
            ("127.0.0.1:1", false),
            ("127.8.0.1:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("unix:/x", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("10.0.0.1:1", true),
        ] {
            assert_eq!(ListenAddress::parse(text).expect(text).is_exposed(), exposed, "{text}");
        }
    }
}
