//! One OTLP/gRPC backend: connection and call.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{GrpcMethod, Request, Status};

use super::codec::EncodedRequestCodec;
use super::config::ExportConfig;
use super::failure::{Failure, FailureReason};

/// Product token of the User-Agent header that the OTLP specification asks for; tonic adds its own.
const USER_AGENT: &str = concat!("upspan/", env!("CARGO_PKG_VERSION"));

const SERVICE: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
const PATH: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");

/// Makes one attempt to hand a request over. A trait, so that retries are tested without a network.
pub(crate) trait Transport: Send + Sync + 'static {
    /// Sends `request`, a whole `ExportTraceServiceRequest`.
    fn export(
        &self,
        request: Bytes,
    ) -> impl Future<Output = Result<ExportTraceServiceResponse, Failure>> + Send;
}

/// A connection to an OTLP/gRPC backend. It is made when first needed, shared by all requests in
/// flight, and made anew whenever it breaks.
pub(crate) struct Client {
    endpoint: Endpoint,
    channel: Mutex<Channel>,
    headers: MetadataMap,
    compression: Option<CompressionEncoding>,
    timeout: Duration,
}

impl Client {
    /// A client as configured; connects to nothing yet, but must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the certificates cannot be used, or the machine has no CA certificates of its own.
    pub(crate) fn new(config: &ExportConfig) -> Result<Self, tonic::transport::Error> {
        let timeout = config.timeout();
        let mut endpoint = Endpoint::from(config.endpoint().clone())
            .user_agent(USER_AGENT)?
            .connect_timeout(timeout)
            // Load balancers forget idle connections without a word.
            .tcp_keepalive(Some(Duration::from_secs(30)));
        if let Some(tls) = config.tls() {
            endpoint = endpoint.tls_config(tls.client_config().timeout(timeout))?;
        }
        Ok(Self {
            channel: Mutex::new(endpoint.connect_lazy()),
            endpoint,
            headers: config.headers().clone(),
            compression: config.compression().encoding(),
            timeout,
        })
    }

    async fn call(&self, message: Bytes) -> Result<ExportTraceServiceResponse, Status> {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut grpc = Grpc::new(channel)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        if let Some(encoding) = self.compression {
            grpc = grpc.send_compressed(encoding);
        }
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;

        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        // So that a backend can drop what nobody waits for any more.
        request.set_timeout(self.timeout);
        request.extensions_mut().insert(GrpcMethod::new(SERVICE, "Export"));
        Ok(grpc.unary(request, PATH, EncodedRequestCodec).await?.into_inner())
    }

    /// Leaves a connection that no longer answers. Its host may be gone without a FIN, and TCP takes
    /// a quarter of an hour to notice.
    fn reconnect(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = self.endpoint.connect_lazy();
    }
}

impl Transport for Client {
    async fn export(&self, request: Bytes) -> Result<ExportTraceServiceResponse, Failure> {
        // tonic's own timeout starts when there is a connection; ours covers the wait for it, too.
        let failure = match tokio::time::timeout(self.timeout, self.call(request)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(status)) => Failure::from(status),
            Err(_elapsed) => Failure::timeout(self.timeout),
        };
        if failure.reason == FailureReason::Timeout {
            self.reconnect();
        }
        Err(failure)
    }
}
