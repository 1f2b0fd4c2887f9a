//! Applications, or the node's collector, send their spans by way of the agent: over OTLP/gRPC, on
//! loopback or a unix socket unless told otherwise.
//!
//! A request is not decoded. Its bytes go on to the backend as they came, with the exporter's
//! retries and an account of their own; what is looked for in them, the spans that are about
//! connections, goes into the index that upcalls are [joined](crate::join) by. The application gets
//! its answer once the request is queued. When there is no room, it is told to come again: nothing
//! is dropped without its knowledge.
//!
//! Clients are not trusted: requests are bounded in size and number, connections in number, and
//! both must go on.

mod address;
mod config;
mod counts;
mod options;
mod service;
mod socket;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

pub use self::address::ListenAddress;
pub use self::config::ReceiverConfig;
use self::counts::Counts;
pub use self::counts::ReceiverTotals;
pub use self::options::ReceiveOptions;
use self::service::{Forwarder, LANES, TraceService};
use self::socket::Bound;
use crate::export::SpanSender;
use crate::join::SharedIndex;

/// Between two pings of HTTP/2, and for the answer to one.
const PING: Duration = Duration::from_secs(20);

/// How long a connection may be silent: longer than pings and their answers take.
const IDLE: Duration = Duration::from_secs(60);

/// Requests that a connection may have open at a time.
const STREAMS: u32 = 32;

/// Headers of a request, in bytes.
const HEADERS: u32 = 16 << 10;

/// How long requests that are under way may take in the end.
const END: Duration = Duration::from_secs(1);

/// The receiver cannot listen.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// No such address, or somebody else has it.
    #[error("cannot listen on {address} for spans of applications: {error}")]
    Listen {
        /// Where.
        address: ListenAddress,
        /// Why.
        error: io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS for spans of applications: {0}")]
    Tls(#[source] tonic::transport::Error),
}

/// A receiver that listens, but does not answer yet.
#[derive(Debug)]
pub struct Listening {
    config: ReceiverConfig,
    bound: Bound,
    address: ListenAddress,
}

/// Takes spans of applications until it is stopped.
#[derive(Debug)]
pub struct SpanReceiver {
    address: ListenAddress,
    counts: Arc<Counts>,
    stop: CancellationToken,
    server: JoinHandle<()>,
    sender: SpanSender,
}

impl ReceiverConfig {
    /// Listens, so that errors come before anything has begun.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn listen(&self) -> Result<Listening, ReceiveError> {
        let failed = |error| ReceiveError::Listen { address: self.address.clone(), error };
        let bound = Bound::listen(&self.address, self.socket_mode).map_err(failed)?;
        let address = bound.address().map_err(failed)?;
        Ok(Listening { config: self.clone(), bound, address })
    }
}

impl Listening {
    /// Where it listens, the port resolved.
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Begins to take spans, on the runtime of the exporter.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn serve(
        self,
        sender: SpanSender,
        index: SharedIndex,
    ) -> Result<SpanReceiver, ReceiveError> {
        let Self { config, bound, address } = self;
        let counts = Arc::<Counts>::default();
        let forwarder = Forwarder {
            sender: sender.clone(),
            index,
            token: config.token,
            max_bytes: config.max_bytes,
            lanes: Semaphore::new(LANES),
            counts: Arc::clone(&counts),
        };
        let mut server = Server::builder()
            .http2_keepalive_interval(Some(PING))
            .http2_keepalive_timeout(Some(PING))
            .max_concurrent_streams(STREAMS)
            .http2_max_header_list_size(HEADERS);
        if let Some(tls) = config.tls {
            server = server.tls_config(tls).map_err(ReceiveError::Tls)?;
        }
        let stop = CancellationToken::new();
        let (to, connections) = mpsc::channel(1);
        let connections = ReceiverStream::new(connections).map(Ok::<_, io::Error>);
        let _context = sender.runtime().enter();
        tokio::spawn(socket::accept(bound, config.connections, IDLE, to));
        let served = server
            .add_service(TraceService(Arc::new(forwarder)))
            .serve_with_incoming_shutdown(connections, stop.clone().cancelled_owned());
        let server = tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::warn!("the receiver of application spans has failed: {error}");
            }
        });
        Ok(SpanReceiver { address, counts, stop, server, sender })
    }
}

impl SpanReceiver {
    /// Where it listens, the port resolved.
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// What it has taken so far.
    #[must_use]
    pub fn totals(&self) -> ReceiverTotals {
        self.counts.totals()
    }

    /// Takes no more, and answers what is under way, for a second at most.
    pub async fn stop(mut self) -> ReceiverTotals {
        self.stop.cancel();
        if timeout(END, &mut self.server).await.is_err() {
            self.server.abort();
        }
        self.counts.totals()
    }

    /// As [`SpanReceiver::stop`], for a thread that is none of the runtime's.
    ///
    /// # Panics
    /// On a thread of a tokio runtime, which must not block.
    pub fn blocking_stop(self) -> ReceiverTotals {
        let runtime = self.sender.runtime().clone();
        runtime.block_on(self.stop())
    }
}
