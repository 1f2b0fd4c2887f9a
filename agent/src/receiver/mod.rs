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

mod config;
mod counts;
mod options;
mod service;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::service::Routes;

pub use self::config::ReceiverConfig;
use self::counts::Counts;
pub use self::counts::ReceiverTotals;
pub use self::options::ReceiveOptions;
use self::service::{Forwarder, LANES, TraceService};
use crate::export::SpanSender;
use crate::join::SharedIndex;
use crate::listen::{self, Limits, ListenAddress, ListenError, Serving};

/// Requests that a connection may have open at a time.
const REQUESTS: u32 = 32;

/// A receiver that listens, but does not answer yet.
#[derive(Debug)]
pub struct Listening {
    config: ReceiverConfig,
    listening: listen::Listening,
}

/// Takes spans of applications until it is stopped.
#[derive(Debug)]
pub struct SpanReceiver {
    counts: Arc<Counts>,
    serving: Serving,
    sender: SpanSender,
}

impl ReceiverConfig {
    /// Listens, so that errors come before anything has begun.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn listen(&self) -> Result<Listening, ListenError> {
        let listening = self.listener.listen(self.socket_mode)?;
        Ok(Listening { config: self.clone(), listening })
    }
}

impl Listening {
    /// Where it listens, the port resolved.
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        self.listening.address()
    }

    /// Begins to take spans, on the runtime of the exporter.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn serve(
        self,
        sender: SpanSender,
        index: SharedIndex,
    ) -> Result<SpanReceiver, ListenError> {
        let Self { config, listening } = self;
        let counts = Arc::<Counts>::default();
        let forwarder = Forwarder {
            sender: sender.clone(),
            index,
            token: config.listener.token(),
            max_bytes: config.max_bytes,
            lanes: Semaphore::new(LANES),
            counts: Arc::clone(&counts),
        };
        let limits = Limits { connections: config.connections, requests: REQUESTS };
        let routes = Routes::new(TraceService(Arc::new(forwarder)));
        let serving = listening.serve(sender.runtime(), limits, routes)?;
        Ok(SpanReceiver { counts, serving, sender })
    }
}

impl SpanReceiver {
    /// Where it listens, the port resolved.
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        self.serving.address()
    }

    /// What it has taken so far.
    #[must_use]
    pub fn totals(&self) -> ReceiverTotals {
        self.counts.totals()
    }

    /// Takes no more, and answers what is under way, for a second at most.
    pub async fn stop(self) -> ReceiverTotals {
        self.serving.stop().await;
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
