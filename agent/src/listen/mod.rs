//! What the agent listens on: for [spans of applications](crate::receiver), and for [clients of its
//! API](crate::api).
//!
//! A `Listener` is a checked [address](ListenAddress) with what lets clients in: nothing on loopback,
//! the mode of a unix socket, certificates (mTLS) or a token. It listens before anything else has
//! begun, and serves then.
//!
//! Clients are not trusted: connections are limited in number, must go on, and have so many requests
//! at a time.

mod access;
mod address;
mod connection;
mod guard;
mod socket;
mod token;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Server, ServerTlsConfig};

pub(crate) use self::access::{Flag, Flags, mode};
pub use self::address::ListenAddress;
pub(crate) use self::address::socket_path;
pub(crate) use self::guard::{Guard, Shows};
pub use self::socket::BindError;
use self::socket::Bound;
pub(crate) use self::token::Token;

/// Between two pings of HTTP/2, and for the answer to one.
const PING: Duration = Duration::from_secs(20);

/// How long a connection may be silent: longer than pings and their answers take.
const IDLE: Duration = Duration::from_secs(60);

/// Headers of a request, in bytes.
const HEADERS: u32 = 16 << 10;

/// How long requests that are under way may take in the end.
const END: Duration = Duration::from_secs(1);

/// It is not possible to listen, or to serve, there.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The system refuses, or somebody else is there.
    #[error("{flag}: cannot listen on {address}: {error}")]
    Bind {
        /// The flag that names the address.
        flag: String,
        /// Where.
        address: ListenAddress,
        /// Why.
        error: BindError,
    },
    /// TLS cannot be set up.
    #[error("{flag}: cannot set up TLS on {address}: {error}")]
    Tls {
        /// The flag that names the address.
        flag: String,
        /// Where.
        address: ListenAddress,
        /// Why.
        error: tonic::transport::Error,
    },
}

/// Where to listen, and whom to let in: checked, but not begun. Its Debug form holds no secrets.
#[derive(Clone)]
pub(crate) struct Listener {
    flag: String,
    address: ListenAddress,
    tls: Option<ServerTlsConfig>,
    token: Option<Arc<Token>>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .field("tls", &self.tls.is_some())
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// The address, as it was given.
    pub(crate) const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The token that clients must show, if any: the services look for it.
    pub(crate) fn token(&self) -> Option<Arc<Token>> {
        self.token.clone()
    }

    /// Listens, so that errors come before anything has begun; a unix socket with these permissions.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub(crate) fn listen(&self, mode: u32) -> Result<Listening, ListenError> {
        let failed = |error| ListenError::Bind {
            flag: self.flag.clone(),
            address: self.address.clone(),
            error,
        };
        let bound = Bound::listen(&self.address, mode).map_err(failed)?;
        let address = bound.address().map_err(|error| failed(error.into()))?;
        let Self { flag, tls, .. } = self.clone();
        Ok(Listening { flag, address, tls, bound })
    }
}

/// What clients may take of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at a time; others wait.
    pub(crate) connections: usize,
    /// Requests that a connection may have open at a time; others wait.
    pub(crate) requests: u32,
}

/// A socket that listens, but nobody answers yet.
#[derive(Debug)]
pub(crate) struct Listening {
    flag: String,
    address: ListenAddress,
    tls: Option<ServerTlsConfig>,
    bound: Bound,
}

impl Listening {
    /// Where it listens, the port resolved.
    pub(crate) const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Begins to answer, on this runtime.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn serve(
        self,
        runtime: &Handle,
        limits: Limits,
        routes: Routes,
    ) -> Result<Serving, ListenError> {
        let Self { flag, address, tls, bound } = self;
        let mut server = Server::builder()
            .http2_keepalive_interval(Some(PING))
            .http2_keepalive_timeout(Some(PING))
            .max_concurrent_streams(limits.requests)
            .http2_max_header_list_size(HEADERS);
        if let Some(tls) = tls {
            server = server.tls_config(tls).map_err(|error| ListenError::Tls {
                flag: flag.clone(),
                address: address.clone(),
                error,
            })?;
        }
        let stop = CancellationToken::new();
        let (to, connections) = mpsc::channel(1);
        let connections = ReceiverStream::new(connections).map(Ok::<_, io::Error>);
        let _context = runtime.enter();
        let accepting =
            tokio::spawn(connection::accept(flag.clone(), bound, limits.connections, IDLE, to));
        let served = server
            .add_routes(routes)
            .serve_with_incoming_shutdown(connections, stop.clone().cancelled_owned());
        let server = tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::warn!("{flag}: the server has failed: {error}");
            }
        });
        Ok(Serving { address, stop, server, accepting })
    }
}

/// A server at work.
#[derive(Debug)]
pub(crate) struct Serving {
    address: ListenAddress,
    stop: CancellationToken,
    server: JoinHandle<()>,
    /// Has the socket, and its file.
    accepting: JoinHandle<()>,
}

impl Serving {
    /// Where it listens, the port resolved.
    pub(crate) const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Takes no more, and answers what is under way, for a second at most.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if timeout(END, &mut self.server).await.is_err() {
            self.server.abort();
        }
        self.accepting.abort();
        // Cancelled, or over: either way, the socket is gone.
        let _ended = self.accepting.await;
    }
}
