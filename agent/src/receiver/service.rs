//! `opentelemetry.proto.collector.trace.v1.TraceService`, whose requests stay bytes.
//!
//! Written by hand, as tonic's generated code would decode each request into structures.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{ClientStreamingService, Grpc, NamedService};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use super::counts::{Counts, Refusal};
use crate::export::{BytesEncoder, NotForwarded, SpanSender};
use crate::join::scan::scan;
use crate::join::{AppSpan, SharedIndex};
use crate::listen::Token;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Requests that are read at a time, from all connections: with the largest request, the bound of
/// the memory that they take. What waits for its turn stays in the windows of HTTP/2.
pub(super) const LANES: usize = 16;

/// How long the reading of a request may take, and the wait for its turn.
const STALL: Duration = Duration::from_secs(10);

/// When an application is to come again that was sent away.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// Takes the spans of applications.
pub(super) struct Forwarder {
    pub(super) sender: SpanSender,
    pub(super) index: SharedIndex,
    pub(super) token: Option<Arc<Token>>,
    pub(super) max_bytes: usize,
    pub(super) lanes: Semaphore,
    pub(super) counts: Arc<Counts>,
}

impl Forwarder {
    async fn export(&self, request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
        match self.take(request).await {
            // The bytes of an `ExportTraceServiceResponse` without partial success.
            Ok(()) => Ok(Response::new(Bytes::new())),
            Err((refusal, status)) => {
                self.counts.refused(refusal);
                Err(status)
            }
        }
    }

    async fn take(&self, request: Request<Streaming<Bytes>>) -> Result<(), (Refusal, Status)> {
        if let Some(token) = &self.token {
            let shown = token.check(request.metadata());
            shown.map_err(|status| (Refusal::Unauthenticated, status))?;
        }
        let busy = |message| (Refusal::Busy, come_again(message));
        let lane = timeout(STALL, self.lanes.acquire()).await;
        let Ok(Ok(_lane)) = lane else { return Err(busy("too many requests at a time")) };
        let message = match timeout(STALL, self.read(request.into_inner())).await {
            Ok(message) => message?,
            Err(_elapsed) => {
                let status = Status::deadline_exceeded("the request did not come in time");
                return Err((Refusal::Stalled, status));
            }
        };
        let mut found: Vec<AppSpan> = Vec::new();
        let spans = scan(&message, |span| found.push(span)).map_err(|malformed| {
            let message = format!("no ExportTraceServiceRequest: {malformed}");
            (Refusal::Malformed, Status::invalid_argument(message))
        })?;
        if !message.is_empty() {
            self.sender.forward(message, spans).map_err(|error| match error {
                NotForwarded::QueueFull => busy("the queue to the backend is full"),
                NotForwarded::Closed => busy("the agent is about to end"),
            })?;
        }
        self.counts.taken(spans);
        if !found.is_empty() {
            self.index.insert(&found);
        }
        Ok(())
    }

    /// The one message of a request.
    async fn read(&self, mut stream: Streaming<Bytes>) -> Result<Bytes, (Refusal, Status)> {
        let one = || (Refusal::Malformed, Status::invalid_argument("one message is expected"));
        let message = stream.message().await.map_err(|status| self.unread(status))?;
        let message = message.ok_or_else(one)?;
        match stream.message().await.map_err(|status| self.unread(status))? {
            None => Ok(message),
            Some(_) => Err(one()),
        }
    }

    /// tonic's codes for what it could not read would have clients send the same again.
    fn unread(&self, status: Status) -> (Refusal, Status) {
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => {
                let message = format!(
                    "the request has more than {} bytes: send smaller batches",
                    self.max_bytes
                );
                (Refusal::TooLarge, Status::resource_exhausted(message))
            }
            Code::Internal => {
                (Refusal::Malformed, Status::invalid_argument(status.message().to_owned()))
            }
            _ => (Refusal::Broken, status),
        }
    }
}

/// UNAVAILABLE, which all OTLP clients retry, and when.
fn come_again(message: &str) -> Status {
    let details = ErrorDetails::with_retry_info(Some(COME_AGAIN));
    Status::with_error_details(Code::Unavailable, message, details)
}

/// The service that tonic's server calls.
#[derive(Clone)]
pub(super) struct TraceService(pub(super) Arc<Forwarder>);

impl NamedService for TraceService {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for TraceService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != EXPORT {
            let status = Status::unimplemented("only traces are taken here");
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        let forwarder = Arc::clone(&self.0);
        Box::pin(async move {
            let mut grpc = Grpc::new(BytesCodec)
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(forwarder.max_bytes);
            // Not `unary`, which reads the message before anybody can look at the token or a clock.
            Ok(grpc.client_streaming(Export(forwarder), request).await)
        })
    }
}

struct Export(Arc<Forwarder>);

impl ClientStreamingService<Bytes> for Export {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let forwarder = Arc::clone(&self.0);
        Box::pin(async move { forwarder.export(request).await })
    }
}

/// Messages are bytes, both ways.
#[derive(Clone, Copy, Debug)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = BytesEncoder;
    type Decoder = BytesDecoder;

    fn encoder(&mut self) -> BytesEncoder {
        BytesEncoder
    }

    fn decoder(&mut self) -> BytesDecoder {
        BytesDecoder
    }
}

#[derive(Clone, Copy, Debug)]
struct BytesDecoder;

impl Decoder for BytesDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
