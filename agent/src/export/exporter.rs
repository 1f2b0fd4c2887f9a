//! The entry: batches of spans in, OTLP/gRPC requests out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::{Account, Ticket, Totals};
use super::client::Client;
use super::config::ExportConfig;
use super::delivery::Delivery;
use super::failure::FailureReason;
use super::problems::Problem;
use crate::trace::{EncodedSpans, Envelope};

/// Bytes that a span is taken for in the queue's limit, at least; see [`SpanSender::send`].
const SPAN_WEIGHT_BYTES: usize = 1024;

/// Ships batches of encoded spans to one OTLP/gRPC backend.
///
/// The queue is bounded and includes what is in flight. A producer that is faster than the backend
/// waits ([`SpanSender::send`]); nothing is dropped for want of room. Several requests are in flight
/// at a time, so batches may arrive in another order than sent; a trace is whole in one of them.
#[derive(Debug)]
pub struct Exporter {
    sender: SpanSender,
}

/// The exporter could not be set up.
#[derive(Debug, Error)]
pub enum StartError {
    /// TLS has no usable certificates.
    #[error(
        "cannot set up TLS for {endpoint}: {reason}; name the CA certificate with \
         --ca-certificate or OTEL_EXPORTER_OTLP_CERTIFICATE, or use http:// where the backend has \
         no TLS"
    )]
    Tls {
        /// Where to.
        endpoint: http::Uri,
        /// What is wrong.
        reason: String,
    },
}

/// The exporter was shut down: the batch was counted as failed, and no further one is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the exporter is shut down")]
pub struct Closed;

/// The exporter did not take a request of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotForwarded {
    /// The backend takes spans more slowly than they come.
    #[error("the queue is full")]
    QueueFull,
    /// As [`Closed`].
    #[error("the exporter is shut down")]
    Closed,
}

/// What an exporter did, once it is shut down.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExportSummary {
    /// Where every span ended; none is pending.
    pub totals: Totals,
    /// The same of spans of applications that were forwarded.
    pub forwarded: Totals,
    /// The first few distinct things that went wrong.
    pub problems: Vec<Problem>,
}

impl Exporter {
    /// An exporter on the current tokio runtime. Connects when the first batch is sent.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(config: &ExportConfig, envelope: Envelope) -> Result<Self, StartError> {
        let client = Client::new(config).map_err(|error| StartError::Tls {
            endpoint: config.endpoint().clone(),
            reason: std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string),
        })?;
        let shared = Shared {
            delivery: Delivery::new(client, config.retry()),
            envelope,
            queue_limit: config.max_queue_spans(),
            queue: Arc::new(Semaphore::new(config.max_queue_spans() as usize)),
            forward_queue: Arc::new(Semaphore::new(config.max_queue_spans() as usize)),
            forwarded: Arc::default(),
            lanes: Semaphore::new(config.concurrency()),
            tasks: TaskTracker::new(),
            abort: CancellationToken::new(),
            runtime: Handle::current(),
        };
        Ok(Self { sender: SpanSender(Arc::new(shared)) })
    }

    /// A handle to send batches with; clone it for each producer.
    #[must_use]
    pub fn sender(&self) -> SpanSender {
        self.sender.clone()
    }

    /// The running count of where spans ended.
    #[must_use]
    pub fn account(&self) -> Arc<Account> {
        Arc::clone(self.sender.0.delivery.account())
    }

    /// The running count of where forwarded spans of applications ended.
    #[must_use]
    pub fn forwarded(&self) -> Arc<Account> {
        Arc::clone(&self.sender.0.forwarded)
    }

    /// The first few distinct things that went wrong so far.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.sender.0.delivery.problems().list()
    }

    /// Takes no more batches, delivers what is queued or in flight, and after `deadline` counts the
    /// rest as failed by shutdown. Producers that wait for room get [`Closed`].
    pub async fn shutdown(self, deadline: Duration) -> ExportSummary {
        self.drain(tokio::time::sleep(deadline)).await
    }

    /// As [`Exporter::shutdown`], but goes on for as long as the retries take, unless `give_up`
    /// is ready before.
    pub async fn drain(self, give_up: impl Future<Output = ()>) -> ExportSummary {
        let Shared { queue, forward_queue, forwarded, tasks, abort, delivery, .. } =
            &*self.sender.0;
        queue.close();
        forward_queue.close();
        tasks.close();
        tokio::select! {
            () = tasks.wait() => {}
            () = give_up => {
                abort.cancel();
                tasks.wait().await;
            }
        }
        ExportSummary {
            totals: delivery.account().totals(),
            forwarded: forwarded.totals(),
            problems: delivery.problems().list(),
        }
    }
}

/// Hands batches to an [`Exporter`].
#[derive(Clone, Debug)]
pub struct SpanSender(Arc<Shared>);

struct Shared {
    delivery: Delivery<Client>,
    envelope: Envelope,
    queue_limit: u32,
    queue: Arc<Semaphore>,
    /// Room for spans of applications, which is as much: neither they nor upcalls push the others
    /// out.
    forward_queue: Arc<Semaphore>,
    forwarded: Arc<Account>,
    /// One permit per request in flight. Fair: batches leave in the order they came.
    lanes: Semaphore,
    tasks: TaskTracker,
    abort: CancellationToken,
    runtime: Handle,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("account", self.delivery.account())
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl SpanSender {
    /// Queues a batch, waiting while the queue is full.
    ///
    /// The queue's limit is one of spans, but a batch with more than 1 KiB a span takes the room of
    /// as many spans as it has KiB: the limit bounds memory, too. A batch larger than the whole
    /// queue goes alone.
    ///
    /// # Errors
    /// After shutdown; the spans are then counted as failed by shutdown. So they are when the
    /// returned future is dropped before it is ready.
    pub async fn send(&self, spans: EncodedSpans) -> Result<(), Closed> {
        // Taken before the wait: shutdown waits for those who wait for room.
        let _token = self.0.tasks.token();
        let ticket = self.0.delivery.account().accept(spans.spans);
        let room = Arc::clone(&self.0.queue)
            .acquire_many_owned(self.0.weight(spans.spans, spans.bytes.len()))
            .await
            .map_err(|_closed| Closed)?;
        self.deliver(spans, ticket, room);
        Ok(())
    }

    /// Queues a batch if there is room, for producers that must not wait: else its spans count as
    /// failed for a full queue, or by shutdown.
    pub fn offer(&self, spans: EncodedSpans) {
        let ticket = self.0.delivery.account().accept(spans.spans);
        match Arc::clone(&self.0.queue)
            .try_acquire_many_owned(self.0.weight(spans.spans, spans.bytes.len()))
        {
            Ok(room) => self.deliver(spans, ticket, room),
            Err(TryAcquireError::NoPermits) => {
                ticket.failed(FailureReason::QueueFull);
                self.0.delivery.problems().queue_full();
            }
            Err(TryAcquireError::Closed) => drop(ticket),
        }
    }

    fn deliver(&self, spans: EncodedSpans, ticket: Ticket, room: OwnedSemaphorePermit) {
        self.spawn(ticket, room, move |shared| shared.envelope.request(&spans));
    }

    /// Queues a whole request of an application with so many spans, to be delivered as it is, with
    /// the same retries. Its room and its account are its own.
    ///
    /// # Errors
    /// When there is no room for it now, or after shutdown: nothing is counted, as the application
    /// keeps it.
    pub fn forward(&self, request: Bytes, spans: usize) -> Result<(), NotForwarded> {
        let weight = self.0.weight(spans, request.len());
        let room = Arc::clone(&self.0.forward_queue).try_acquire_many_owned(weight);
        let room = room.map_err(|error| match error {
            TryAcquireError::NoPermits => NotForwarded::QueueFull,
            TryAcquireError::Closed => NotForwarded::Closed,
        })?;
        let ticket = self.0.forwarded.accept(spans);
        self.spawn(ticket, room, move |_| request);
        Ok(())
    }

    /// Delivers a request in its turn, which is made then.
    fn spawn(
        &self,
        ticket: Ticket,
        room: OwnedSemaphorePermit,
        request: impl FnOnce(&Shared) -> Bytes + Send + 'static,
    ) {
        let shared = Arc::clone(&self.0);
        let deliver = async move {
            let deliver = async {
                // Never closed.
                let Ok(_lane) = shared.lanes.acquire().await else { return };
                let request = request(&shared);
                shared.delivery.deliver(request, ticket).await;
            };
            shared.abort.run_until_cancelled(deliver).await;
            drop(room);
        };
        self.0.tasks.spawn_on(deliver, &self.0.runtime);
    }

    /// The runtime that it delivers on.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Like [`send`](Self::send), for a thread that is none of the runtime's.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Panics
    /// On a thread of a tokio runtime, which must not block.
    pub fn blocking_send(&self, spans: EncodedSpans) -> Result<(), Closed> {
        self.0.runtime.block_on(self.send(spans))
    }
}

impl Shared {
    /// Permits that a batch takes in the queue.
    fn weight(&self, spans: usize, bytes: usize) -> u32 {
        let weight = spans.max(bytes.div_ceil(SPAN_WEIGHT_BYTES));
        u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, self.queue_limit)
    }
}
