//! The other end: a client of an agent that runs.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use upspan_proto::v1::observer_client::ObserverClient;

use super::DEFAULT_SOCKET;
use crate::export::{ConfigError, Setting, TlsFiles, TlsMaterial};
use crate::listen::{Shows, Token, socket_path};

/// A client that is connected.
pub type Client = ObserverClient<InterceptedService<Channel, Shows>>;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Where an agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerUrl {
    /// On a unix socket at this path.
    Unix(PathBuf),
    /// On TCP, with or without TLS.
    Tcp(Uri),
}

impl Default for ServerUrl {
    /// On this node.
    fn default() -> Self {
        Self::Unix(DEFAULT_SOCKET.into())
    }
}

/// A text that says not where an agent listens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no server: write unix:PATH, http://HOST:PORT or https://HOST:PORT")]
pub struct ServerUrlError(String);

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let wrong = || ServerUrlError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Self::Unix).ok_or_else(wrong);
        }
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let is_usable = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.port_u16().is_some()
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none();
        if is_usable { Ok(Self::Tcp(uri)) } else { Err(wrong()) }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(uri) => write!(f, "{}", uri.to_string().trim_end_matches('/')),
        }
    }
}

/// How to show who we are, and know who they are.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Server")]
pub struct ClientOptions {
    /// Where upspan listens: unix:PATH, https://HOST:PORT or http://HOST:PORT [env: UPSPAN_SERVER]
    /// [default: unix:/run/upspan/upspan.sock]
    #[arg(long, value_name = "URL")]
    pub server: Option<ServerUrl>,

    /// Show the token in this file
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Trust this CA certificate (PEM) in place of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_certificate: Option<PathBuf>,

    /// Certificate to show, with its chain (PEM)
    #[arg(long, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,

    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
}

/// Why there is no connection, or no answer. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "no upspan listens on {0}: start `upspan run` on this node, or name the address of another \
         one with --server"
    )]
    NoAgent(PathBuf),
    /// The socket is not for us.
    #[error("you may not connect to {0}: run this as root, or as a member of the socket's group")]
    Forbidden(PathBuf),
    /// Anything else about a socket.
    #[error("cannot connect to {path}: {error}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Over TCP.
    #[error("cannot connect to {server}: {why}; does `upspan run` listen there, with --api?")]
    Connect {
        /// Where.
        server: ServerUrl,
        /// The last cause.
        why: String,
    },
    /// A flag.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// What the agent answers.
    #[error("{}", answer(.0))]
    Answer(Box<Status>),
}

fn answer(status: &Status) -> String {
    match (status.code(), status.message()) {
        (tonic::Code::Unavailable, _) => "the agent has ended, or the connection broke".to_owned(),
        (tonic::Code::Unimplemented, _) => {
            "this is no upspan, or one of another version: it has no such method".to_owned()
        }
        (tonic::Code::Unauthenticated, message) => {
            format!("{message}: name the file of the agent's token with --token-file")
        }
        (code, "") => code.to_string(),
        (_, message) => message.to_owned(),
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Answer(Box::new(status))
    }
}

impl ClientOptions {
    /// Connects. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// There is no connection, or a file cannot be used.
    pub async fn connect(&self) -> Result<Client, ClientError> {
        let server = self.server.clone().unwrap_or_default();
        let token = match &self.token_file {
            Some(path) => {
                let setting = Setting::new("--token-file", path.clone());
                Some(setting.parse(|path| Token::read(&path))?.value)
            }
            None => None,
        };
        let cannot = |error: tonic::transport::Error| ClientError::Connect {
            why: last_cause(&error),
            server: server.clone(),
        };
        let endpoint = match &server {
            ServerUrl::Unix(path) => {
                look(path)?;
                Endpoint::from_shared(format!("unix://{}", path.display())).map_err(cannot)?
            }
            ServerUrl::Tcp(uri) => {
                let endpoint = Endpoint::from(uri.clone());
                match uri.scheme_str() {
                    Some("https") => {
                        endpoint.tls_config(self.tls()?.client_config()).map_err(cannot)?
                    }
                    _ => endpoint,
                }
            }
        };
        let channel = endpoint.connect_timeout(CONNECT).connect().await.map_err(cannot)?;
        Ok(ObserverClient::with_interceptor(channel, Shows(token)))
    }

    fn tls(&self) -> Result<TlsMaterial, ConfigError> {
        let named =
            |flag, path: &Option<PathBuf>| path.clone().map(|path| Setting::new(flag, path));
        TlsFiles {
            ca: named("--ca-certificate", &self.ca_certificate),
            certificate: named("--client-certificate", &self.client_certificate),
            key: named("--client-key", &self.client_key),
        }
        .load()
    }
}

/// Connects to a socket, for the error alone: it says more than the transport's.
fn look(path: &Path) -> Result<(), ClientError> {
    let Err(error) = UnixStream::connect(path) else { return Ok(()) };
    Err(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NoAgent(path.to_owned())
        }
        io::ErrorKind::PermissionDenied => ClientError::Forbidden(path.to_owned()),
        _ => ClientError::Socket { path: path.to_owned(), error },
    })
}

fn last_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn servers() {
        for (text, same) in [
            ("unix:/a.sock", "unix:/a.sock"),
            ("unix:///a.sock", "unix:/a.sock"),
            ("unix:a.sock", "unix:a.sock"),
            ("http://localhost:1/", "http://localhost:1"),
            ("https://[::1]:1", "https://[::1]:1"),
        ] {
            assert_eq!(text.parse::<ServerUrl>().unwrap().to_string(), same);
        }
        for text in ["", "unix:", "/a.sock", "localhost:1", "ftp://a:1", "http://a", "http://a:1/b"]
        {
            text.parse::<ServerUrl>().unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(unix:|https?://)?\\PC{0,20}") {
            let _read_or_refused = text.parse::<ServerUrl>();
        }
    }
}
