//! A small OTLP/gRPC trace receiver, so that a demonstration needs no backend.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::SpanFlags;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Largest request that it takes. A trace too large for a batch is sent alone, whatever its size.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// Takes traces over OTLP/gRPC without TLS, plain, gzip or zstd, and counts them.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    counts: Arc<Counts>,
    stop: CancellationToken,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

/// What a [`Receiver`] has taken so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Received {
    /// Requests.
    pub requests: u64,
    /// Spans.
    pub spans: u64,
    /// Spans that begin something here, as they have no parent, or a remote one.
    pub traces: u64,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    spans: AtomicU64,
    traces: AtomicU64,
}

impl Receiver {
    /// Listens on `address` (port 0 for any free one) and calls `on_request` with each request
    /// before it is acknowledged. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(
        address: SocketAddr,
        on_request: impl Fn(ExportTraceServiceRequest) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let incoming = TcpIncoming::bind(address)?.with_nodelay(Some(true));
        let address = incoming.local_addr()?;
        let counts = Arc::new(Counts::default());
        let stop = CancellationToken::new();
        let service = TraceServiceServer::new(Service { counts: Arc::clone(&counts), on_request })
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(MAX_REQUEST_BYTES);
        let server = Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        Ok(Self { address, counts, stop, server: tokio::spawn(server) })
    }

    /// The address that it listens on, its port resolved.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint to configure an exporter with.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers what is under way, takes nothing more, and says what it took in all. Waits for its
    /// clients to leave: shut the exporter down first.
    ///
    /// # Errors
    /// When the server had failed.
    pub async fn shutdown(self) -> io::Result<Received> {
        self.stop.cancel();
        let Self { server, counts, .. } = self;
        server.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok(Received {
            requests: counts.requests.load(Relaxed),
            spans: counts.spans.load(Relaxed),
            traces: counts.traces.load(Relaxed),
        })
    }
}

struct Service<F> {
    counts: Arc<Counts>,
    on_request: F,
}

#[tonic::async_trait]
impl<F> TraceService for Service<F>
where
    F: Fn(ExportTraceServiceRequest) + Send + Sync + 'static,
{
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let (mut spans, mut traces) = (0, 0);
        for span in scopes.flat_map(|scope| &scope.spans) {
            spans += 1;
            let is_remote = span.flags & SpanFlags::ContextIsRemoteMask as u32 != 0;
            traces += u64::from(span.parent_span_id.is_empty() || is_remote);
        }
        self.counts.requests.fetch_add(1, Relaxed);
        self.counts.spans.fetch_add(spans, Relaxed);
        self.counts.traces.fetch_add(traces, Relaxed);
        (self.on_request)(request);
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}
