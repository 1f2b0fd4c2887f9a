//! An OTLP/gRPC backend that takes everything and looks at nothing.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Buf;
use tokio::runtime::Runtime;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// See the module. Ends when dropped.
pub(crate) struct NullServer {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl NullServer {
    /// Listens on a free port of the loopback interface, with a thread of its own.
    ///
    /// # Errors
    /// When the system has no thread or port left.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let context = runtime.enter();
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = incoming.local_addr()?;
        let bytes = Arc::new(AtomicU64::new(0));
        let service = NullService(Arc::clone(&bytes));
        runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        drop(context);
        Ok(Self { address, bytes, _runtime: runtime })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of the requests' bodies so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

#[derive(Clone)]
struct NullService(Arc<AtomicU64>);

impl NamedService for NullService {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for NullService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let export = Export(Arc::clone(&self.0));
        Box::pin(async move {
            let mut grpc = Grpc::new(LengthCodec).max_decoding_message_size(usize::MAX);
            Ok(grpc.unary(export, request).await)
        })
    }
}

struct Export(Arc<AtomicU64>);

impl UnaryService<u64> for Export {
    /// An `ExportTraceServiceResponse` without fields has no bytes.
    type Response = ();
    type Future = std::future::Ready<Result<Response<()>, Status>>;

    fn call(&mut self, request: Request<u64>) -> Self::Future {
        self.0.fetch_add(request.into_inner(), Relaxed);
        std::future::ready(Ok(Response::new(())))
    }
}

/// Of a message, takes the length.
#[derive(Clone, Copy, Default)]
struct LengthCodec;

impl Codec for LengthCodec {
    type Encode = ();
    type Decode = u64;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for LengthCodec {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for LengthCodec {
    type Item = u64;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<u64>, Status> {
        let length = message.remaining();
        message.advance(length);
        Ok(Some(length as u64))
    }
}
