//! An OTLP/gRPC backend that misbehaves as told.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::pki::Credentials;

/// What the backend does with a request.
pub enum Reply {
    /// Takes it.
    Accept,
    /// Takes it but for so many spans, with this message.
    Reject(i64, &'static str),
    /// Answers with this status.
    Fail(Status),
    /// Takes it once [`Backend::release`] lets it, which may be never.
    Hold,
}

/// What the backend was sent.
pub struct Taken {
    /// The request's headers.
    pub headers: MetadataMap,
    /// Its body.
    pub request: ExportTraceServiceRequest,
}

/// How the backend listens.
#[derive(Default)]
pub struct Listen {
    address: Option<SocketAddr>,
    tls: Option<ServerTlsConfig>,
    plain_only: bool,
}

impl Listen {
    /// On this address, as a backend did that was killed.
    pub fn on(address: SocketAddr) -> Self {
        Self { address: Some(address), ..Self::default() }
    }

    /// With TLS.
    pub fn tls(mut self, credentials: &Credentials) -> Self {
        let identity = Identity::from_pem(&credentials.certificate, &credentials.key);
        self.tls = Some(self.tls.unwrap_or_default().identity(identity));
        self
    }

    /// Only to clients with a certificate of this authority.
    pub fn client_authority(mut self, certificate: &str) -> Self {
        let authority = Certificate::from_pem(certificate);
        self.tls = Some(self.tls.unwrap_or_default().client_ca_root(authority));
        self
    }

    /// Without support for compression.
    pub fn plain_only(mut self) -> Self {
        self.plain_only = true;
        self
    }
}

/// A running backend. It has threads of its own: killed, all of its connections are.
pub struct Backend {
    address: SocketAddr,
    runtime: Option<Runtime>,
    taken: mpsc::UnboundedReceiver<Taken>,
    gate: Arc<Semaphore>,
}

impl Backend {
    /// A backend on a free loopback port without TLS; `reply` decides by the number of the request,
    /// from 0.
    pub fn start(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Listen::default(), reply)
    }

    /// A backend that listens as told.
    pub fn listen(listen: Listen, reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let context = runtime.enter();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let incoming = bind(listen.address.unwrap_or(any));
        let address = incoming.local_addr().expect("an address");
        let gate = Arc::new(Semaphore::new(0));
        let (tell, taken) = mpsc::unbounded_channel();
        let count = AtomicUsize::new(0);
        let mut service =
            TraceServiceServer::new(Service { reply, count, tell, gate: Arc::clone(&gate) });
        if !listen.plain_only {
            service = service
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd);
        }
        let mut server = Server::builder();
        if let Some(tls) = listen.tls {
            server = server.tls_config(tls).expect("usable certificates");
        }
        runtime.spawn(server.add_service(service).serve_with_incoming(incoming));
        drop(context);
        Self { address, runtime: Some(runtime), taken, gate }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next request, answered or not.
    pub async fn taken(&mut self) -> Taken {
        self.taken.recv().await.expect("the backend runs")
    }

    /// The requests so far that [`Backend::taken`] has not given yet.
    pub fn rest(&mut self) -> Vec<Taken> {
        std::iter::from_fn(|| self.taken.try_recv().ok()).collect()
    }

    /// Lets so many held requests go.
    pub fn release(&self, requests: usize) {
        self.gate.add_permits(requests);
    }

    /// Ends it at once: connections break, requests in flight are not answered, and the port is
    /// free again.
    pub fn kill(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // A runtime cannot be waited for inside of another.
        let stop = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(10)));
        stop.join().expect("no panic");
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Listens. The port of a backend that was killed may still be in use for a moment: processes that
/// other tests start have its socket until they become another program.
fn bind(address: SocketAddr) -> TcpIncoming {
    let started = Instant::now();
    loop {
        match TcpIncoming::bind(address) {
            Ok(incoming) => return incoming,
            Err(error) => {
                let is_over = started.elapsed() > Duration::from_secs(10);
                let is_in_use = error.kind() == io::ErrorKind::AddrInUse;
                assert!(is_in_use && !is_over, "cannot listen on {address}: {error}");
                std::thread::yield_now();
            }
        }
    }
}

struct Service<F> {
    reply: F,
    count: AtomicUsize,
    tell: mpsc::UnboundedSender<Taken>,
    gate: Arc<Semaphore>,
}

#[tonic::async_trait]
impl<F: Fn(usize) -> Reply + Send + Sync + 'static> TraceService for Service<F> {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (headers, _, request) = request.into_parts();
        let reply = (self.reply)(self.count.fetch_add(1, Relaxed));
        // Nobody listens to a backend that is being killed.
        let _ = self.tell.send(Taken { headers, request });
        let partial_success = match reply {
            Reply::Accept => None,
            Reply::Reject(rejected_spans, message) => {
                let error_message = message.to_owned();
                Some(ExportTracePartialSuccess { rejected_spans, error_message })
            }
            Reply::Fail(status) => return Err(status),
            Reply::Hold => {
                self.gate.acquire().await.expect("never closed").forget();
                None
            }
        };
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}
