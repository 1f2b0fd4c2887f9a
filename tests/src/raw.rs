//! OTLP/gRPC whose requests are bytes: a client that sends any, a server that takes any, and a
//! backend that keeps them as they came.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::client;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Sends bytes as requests.
#[derive(Clone, Debug)]
pub struct RawClient {
    /// The connection.
    pub channel: Channel,
    /// How they are compressed.
    pub compression: Option<CompressionEncoding>,
    /// The bearer token that it shows.
    pub token: Option<String>,
    /// The method that it calls.
    pub path: &'static str,
}

impl RawClient {
    /// A client of this endpoint, which connects with the first request.
    #[must_use]
    pub fn new(endpoint: &Endpoint) -> Self {
        let channel = endpoint.connect_lazy();
        Self { channel, compression: None, token: None, path: EXPORT }
    }

    /// As [`RawClient::new`].
    ///
    /// # Panics
    /// If that is no endpoint.
    #[must_use]
    pub fn to(endpoint: &str) -> Self {
        Self::new(&Endpoint::from_shared(endpoint.to_owned()).expect("an endpoint"))
    }

    /// Sends a request, and returns the bytes of the answer.
    ///
    /// # Errors
    /// The status of another answer, or of none.
    pub async fn export(&self, message: Bytes) -> Result<Bytes, Status> {
        let mut grpc = client::Grpc::new(self.channel.clone());
        if let Some(encoding) = self.compression {
            grpc = grpc.send_compressed(encoding);
        }
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().expect("a header");
            request.metadata_mut().insert("authorization", value);
        }
        let path = PathAndQuery::from_static(self.path);
        Ok(grpc.unary(request, path, BytesCodec).await?.into_inner())
    }
}

/// A server that takes every request, with a thread of its own. Ends when dropped.
#[derive(Debug)]
pub struct RawServer {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl RawServer {
    /// Listens on a free loopback port, and calls `take` with each request.
    ///
    /// # Panics
    /// If there is no port or thread left.
    #[must_use]
    pub fn start(take: impl Fn(Bytes) + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let context = runtime.enter();
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = incoming.local_addr().expect("an address");
        let service = Take(Arc::new(take));
        runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        drop(context);
        Self { address, runtime: Some(runtime) }
    }

    /// The endpoint to send to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A backend that keeps everything.
#[derive(Debug)]
pub struct RawBackend {
    server: RawServer,
    taken: mpsc::UnboundedReceiver<Bytes>,
}

impl RawBackend {
    /// As [`RawServer::start`].
    #[must_use]
    pub fn start() -> Self {
        let (tell, taken) = mpsc::unbounded_channel();
        let server = RawServer::start(move |request| {
            // Nobody looks any more at what comes when a test has ended.
            let _ = tell.send(request);
        });
        Self { server, taken }
    }

    /// The endpoint to send to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Waits for the next request.
    ///
    /// # Panics
    /// If the backend has ended.
    pub async fn taken(&mut self) -> Bytes {
        self.taken.recv().await.expect("the backend runs")
    }
}

#[derive(Clone)]
struct Take(Arc<dyn Fn(Bytes) + Send + Sync>);

impl NamedService for Take {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for Take {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let take = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(BytesCodec).max_decoding_message_size(usize::MAX);
            Ok(grpc.unary(take, request).await)
        })
    }
}

impl UnaryService<Bytes> for Take {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        (self.0)(request.into_inner());
        ready(Ok(Response::new(Bytes::new())))
    }
}

/// Messages are bytes, both ways.
#[derive(Clone, Copy, Debug, Default)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(message.len());
        to.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
