//! An OTLP/gRPC backend that takes everything and looks at nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use upspan_tests::raw::RawServer;

/// See the module. Ends when dropped.
pub(crate) struct NullServer {
    server: RawServer,
    bytes: Arc<AtomicU64>,
}

impl NullServer {
    pub(crate) fn start() -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&bytes);
        let server = RawServer::start(move |request| {
            counter.fetch_add(request.len() as u64, Relaxed);
        });
        Self { server, bytes }
    }

    pub(crate) fn url(&self) -> String {
        self.server.endpoint()
    }

    /// Bytes of the requests' bodies so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}
