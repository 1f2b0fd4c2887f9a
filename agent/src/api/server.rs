//! The server: the service, health, reflection, and the end.

use std::sync::Arc;

use tokio::runtime::Handle;
use tonic::codegen::InterceptedService;
use tonic::service::Routes;
use upspan_proto::v1;
use upspan_proto::v1::observer_server::ObserverServer;

use super::listen::Access;
use super::recorder::{Recorder, Shared};
use super::service::Service;
use crate::listen::{Guard, Limits, ListenAddress, ListenError, Serving};

/// Largest request: filters are small.
const MAX_REQUEST_BYTES: usize = 64 << 10;

/// More than people who look at a node at the same time.
const LIMITS: Limits = Limits { connections: 64, requests: 64 };

/// Who may connect to the unix socket: its owner, and its group.
const SOCKET_MODE: u32 = 0o660;

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address, or TLS.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What reflection shows.
    #[error("the description of the API cannot be read: {0}")]
    Description(#[from] tonic_reflection::server::Error),
}

/// Serves the API until it is shut down.
#[derive(Debug)]
pub struct Server(Serving);

impl Server {
    /// Listens, and serves what the recorder writes. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be listened on, or a certificate cannot be used.
    pub fn start(access: Access) -> Result<(Self, Recorder), ServerError> {
        let Access { listener, history } = access;
        let listening = listener.listen(SOCKET_MODE)?;
        let shared = Arc::new(Shared::new(history));
        let recorder = Recorder::new(Arc::clone(&shared));
        let (health, health_service) = tonic_health::server::health_reporter();
        let observer =
            ObserverServer::new(Service::new(shared)).max_decoding_message_size(MAX_REQUEST_BYTES);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let guard = Guard(listener.token());
        let routes = Routes::new(InterceptedService::new(health_service, guard.clone()))
            .add_service(InterceptedService::new(reflection, guard.clone()))
            .add_service(InterceptedService::new(observer, guard));
        let serving = listening.serve(&Handle::current(), LIMITS, routes)?;
        tokio::spawn(async move { health.set_serving::<ObserverServer<Service>>().await });
        Ok((Self(serving), recorder))
    }

    /// The address that it listens on, its port resolved.
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        self.0.address()
    }

    /// Takes nothing more, and gives the clients a moment to leave.
    pub async fn shutdown(self) {
        self.0.stop().await;
    }
}
