//! What can be wrong with the configuration of the export.

use std::path::PathBuf;

use thiserror::Error;

/// A flag or environment variable that cannot be used.
#[derive(Debug, Error)]
#[error("{origin}: {invalid}")]
pub struct ConfigError {
    origin: String,
    invalid: Invalid,
}

impl ConfigError {
    /// Of this variable, or of this flag with its `--`.
    pub fn new(origin: impl Into<String>, invalid: Invalid) -> Self {
        Self { origin: origin.into(), invalid }
    }

    /// The long name of the flag, without `--`; `None` if it is a variable.
    #[must_use]
    pub fn flag(&self) -> Option<&str> {
        self.origin.strip_prefix("--")
    }

    /// What is wrong.
    #[must_use]
    pub const fn invalid(&self) -> &Invalid {
        &self.invalid
    }
}

/// What is wrong with a setting. Values of headers are secrets and never part of the text.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Invalid {
    /// No URL and no host:port.
    #[error("\"{0}\" is no endpoint; write http://HOST:4317 or https://HOST:4317")]
    Endpoint(String),
    /// Neither http nor https.
    #[error("the scheme \"{0}\" is not supported; write http://HOST:4317 or https://HOST:4317")]
    Scheme(String),
    /// As of an OTLP/HTTP endpoint.
    #[error(
        "OTLP/gRPC endpoints have no path, but this one has \"{0}\"; write http://HOST:4317, with \
         the gRPC port of the backend"
    )]
    Path(String),
    /// User and password before the host.
    #[error("credentials do not go into the endpoint; send a header instead (--header)")]
    Credentials,
    /// Not grpc.
    #[error(
        "the protocol \"{0}\" is not supported; unset it or set it to grpc, and point the endpoint \
         at the OTLP/gRPC port of the backend (usually 4317)"
    )]
    Protocol(String),
    /// Not none, gzip or zstd.
    #[error("the compression \"{0}\" is not known; use none, gzip or zstd")]
    Compression(String),
    /// Not a whole number.
    #[error("\"{0}\" is no whole number")]
    Number(String),
    /// Not a whole number of milliseconds.
    #[error("\"{0}\" is no whole number of milliseconds")]
    Millis(String),
    /// Must be more than zero.
    #[error("it must be more than zero")]
    Zero,
    /// Not `key=value`.
    #[error("entry {0} is not of the form key=value")]
    HeaderForm(usize),
    /// Not a header name that gRPC allows.
    #[error("\"{0}\" is no header name; use a-z, 0-9, -, _ and ., and no -bin at the end")]
    HeaderName(String),
    /// Not a header value that gRPC allows.
    #[error("the value of \"{0}\" holds characters that a header cannot hold")]
    HeaderValue(String),
    /// A file that cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file without what it should hold.
    #[error("{path} holds no {wanted} in PEM form")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// No IP address with a port, and no unix socket.
    #[error("\"{0}\" is no address to listen on; write 127.0.0.1:4317, [::1]:4317 or unix:PATH")]
    Listen(String),
    /// Encrypted, but open to all.
    #[error(
        "other hosts can reach {address}: let in only those with a certificate ({flag}-client-ca) \
         or a token ({flag}-token-file), or all with {flag}-insecure"
    )]
    Exposed {
        /// The address.
        address: String,
        /// The flag that names it.
        flag: &'static str,
    },
    /// Not encrypted.
    #[error(
        "other hosts can reach {address}, and nothing would be encrypted, tokens included: give {flag}-certificate and {flag}-key, or {flag}-insecure if the network is to \
         be trusted"
    )]
    Plain {
        /// The address.
        address: String,
        /// The flag that names it.
        flag: &'static str,
    },
    /// TLS on a unix socket.
    #[error("it is for TCP: a unix socket has permissions, and no TLS")]
    NotOnSocket,
    /// No permissions of a socket.
    #[error("\"{0}\" are no permissions of a socket; write 600, 660 or 666")]
    Mode(String),
    /// A file without a token.
    #[error("{path} holds no token: one line of at least {least} characters, without spaces")]
    Token {
        /// The file.
        path: PathBuf,
        /// Fewest characters.
        least: usize,
    },
    /// A CA of clients without a certificate of our own.
    #[error("TLS needs a certificate to show: name it with {flag}-certificate and {flag}-key")]
    NoIdentity {
        /// The flag that names the address.
        flag: &'static str,
    },
    /// It makes no sense without that other setting.
    #[error("it needs {0}")]
    Needs(&'static str),
    /// Half of an identity.
    #[error("a certificate and its key go together; the {0} is missing")]
    HalfIdentity(&'static str),
}
