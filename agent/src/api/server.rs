//! The server: listening, health, reflection, and the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::InterceptorLayer;
use tonic::transport::server::TcpIncoming;
use upspan_proto::v1;
use upspan_proto::v1::observer_server::ObserverServer;

use super::address::Address;
use super::auth::Guard;
use super::listen::Access;
use super::recorder::{Recorder, Shared};
use super::service::Service;
use super::socket::{self, SocketError, SocketFile};

/// Largest request: filters are small.
const MAX_REQUEST_BYTES: usize = 64 << 10;

/// Requests of one connection at a time; more wait.
const MAX_REQUESTS: u32 = 64;

/// How long a client that does not answer is kept: it asks in between, and gives up after.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// How long clients may take to notice the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The unix socket.
    #[error("--api: {0}")]
    Socket(#[from] SocketError),
    /// The address.
    #[error("--api: cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: Address,
        /// Why.
        error: io::Error,
    },
    /// What it is made of.
    #[error("--api: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// What reflection shows.
    #[error("the description of the API cannot be read: {0}")]
    Description(#[from] tonic_reflection::server::Error),
}

/// Serves the API until it is shut down.
#[derive(Debug)]
pub struct Server {
    address: Address,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    socket: Option<SocketFile>,
}

/// Where connections come from.
enum Incoming {
    Unix(UnixListenerStream),
    Tcp(TcpIncoming),
}

impl Server {
    /// Listens, and serves what the recorder writes. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be listened on, or a certificate cannot be used.
    pub fn start(access: Access) -> Result<(Self, Recorder), ServerError> {
        let Access { address, tls, token, history } = access;
        let (incoming, address, socket) = bind(address)?;
        let shared = Arc::new(Shared::new(history));
        let recorder = Recorder::new(Arc::clone(&shared));
        let (health, health_service) = tonic_health::server::health_reporter();
        let observer =
            ObserverServer::new(Service::new(shared)).max_decoding_message_size(MAX_REQUEST_BYTES);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let mut builder = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .max_concurrent_streams(Some(MAX_REQUESTS));
        if let Some(tls) = tls {
            builder = builder.tls_config(tls)?;
        }
        let router = builder
            .layer(InterceptorLayer::new(Guard(token)))
            .add_service(health_service)
            .add_service(reflection.build_v1()?)
            .add_service(observer);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            health.set_serving::<ObserverServer<Service>>().await;
            match incoming {
                Incoming::Unix(unix) => router.serve_with_incoming_shutdown(unix, stopped).await,
                Incoming::Tcp(tcp) => router.serve_with_incoming_shutdown(tcp, stopped).await,
            }
        });
        Ok((Self { address, stop, serving, socket }, recorder))
    }

    /// The address that it listens on, its port resolved.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Takes nothing more, and gives the clients a moment to leave.
    pub async fn shutdown(self) {
        self.stop.cancel();
        let mut serving = self.serving;
        if timeout(GOODBYE, &mut serving).await.is_err() {
            serving.abort();
        }
        drop(self.socket);
    }
}

fn bind(address: Address) -> Result<(Incoming, Address, Option<SocketFile>), ServerError> {
    let cannot = |error| ServerError::Listen { address: address.clone(), error };
    let tcp = match &address {
        Address::Unix(path) => {
            let (listener, file) = socket::listen(path)?;
            let listener = UnixListener::from_std(listener).map_err(cannot)?;
            return Ok((Incoming::Unix(UnixListenerStream::new(listener)), address, Some(file)));
        }
        Address::Http(tcp) | Address::Https(tcp) => *tcp,
    };
    let incoming = TcpIncoming::bind(tcp).map_err(cannot)?.with_nodelay(Some(true));
    let tcp = incoming.local_addr().map_err(cannot)?;
    let address = match address {
        Address::Https(_) => Address::Https(tcp),
        Address::Unix(_) | Address::Http(_) => Address::Http(tcp),
    };
    Ok((Incoming::Tcp(incoming), address, None))
}
