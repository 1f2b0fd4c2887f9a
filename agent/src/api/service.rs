//! The service `upspan.v1.Observer`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};
use upspan_proto::v1;
use upspan_proto::v1::observer_server::Observer;

use super::filter::Filter;
use super::follower::{Clients, Follower, Selection};
use super::mask::Mask;
use super::message;
use super::recorder::Shared;
use super::statistics::{self, Wanted};
use crate::event::MonotonicNs;
use crate::trace::{TimeAnchor, host_name};

/// Most streams that are open at a time, of all clients.
const MAX_STREAMS: usize = 256;

/// Most statistics that are worked out at a time, so that clients cannot take all CPUs.
const MAX_STATISTICS: usize = 1;

pub(super) struct Service {
    shared: Arc<Shared>,
    clients: Arc<Clients>,
    streams: Arc<Semaphore>,
    statistics: Semaphore,
    started_unix_ns: u64,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let now = TimeAnchor::at(MonotonicNs(0), SystemTime::now());
        Self {
            shared,
            clients: Arc::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            statistics: Semaphore::new(MAX_STATISTICS),
            started_unix_ns: now.to_unix_ns(MonotonicNs(0)),
        }
    }
}

fn invalid(error: impl std::error::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

type Upcalls = Pin<Box<dyn Stream<Item = Result<v1::GetUpcallsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Observer for Service {
    type GetUpcallsStream = Upcalls;

    async fn get_upcalls(
        &self,
        request: Request<v1::GetUpcallsRequest>,
    ) -> Result<Response<Upcalls>, Status> {
        let request = request.into_inner();
        let selection = Selection {
            last: request.last,
            since_unix_ns: request.since_unix_ns,
            until_unix_ns: request.until_unix_ns,
            follow: request.follow,
            filter: Filter::try_from(request.filter.unwrap_or_default()).map_err(invalid)?,
            mask: Mask::new(request.field_mask).map_err(invalid)?,
        };
        let permit = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{MAX_STREAMS} streams are open already, which is all that this upspan serves"
            ))
        })?;
        let (shared, clients) = (Arc::clone(&self.shared), Arc::clone(&self.clients));
        let follower = Follower::new(shared, clients, selection);
        Ok(Response::new(Box::pin(unfold((follower, permit), next))))
    }

    async fn get_statistics(
        &self,
        request: Request<v1::GetStatisticsRequest>,
    ) -> Result<Response<v1::GetStatisticsResponse>, Status> {
        let wanted = Wanted::try_from(request.into_inner()).map_err(invalid)?;
        let gone = |_| Status::unavailable("this upspan ends");
        let _turn = self.statistics.acquire().await.map_err(|_| gone(()))?;
        let shared = Arc::clone(&self.shared);
        let work = spawn_blocking(move || statistics::of(&shared.ring, &wanted));
        Ok(Response::new(work.await.map_err(|_| gone(()))?))
    }

    async fn server_status(
        &self,
        _: Request<v1::ServerStatusRequest>,
    ) -> Result<Response<v1::ServerStatusResponse>, Status> {
        let ring = &self.shared.ring;
        let seen = ring.end();
        Ok(Response::new(v1::ServerStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_name: host_name().unwrap_or_default(),
            started_unix_ns: self.started_unix_ns,
            seen_upcalls: seen,
            kept_upcalls: seen.min(ring.capacity()),
            max_kept_upcalls: ring.capacity(),
            streams: self.clients.streams.load(Relaxed),
            events: message::event_counts(&self.shared.events.get()),
            lost_events: message::event_counts(&self.shared.lost.get()),
            unmatched_events: self.shared.unmatched.load(Relaxed),
            lost_by_clients: self.clients.missed.load(Relaxed),
        }))
    }
}

type Client = (Follower, OwnedSemaphorePermit);

async fn next(
    (mut follower, permit): Client,
) -> Option<(Result<v1::GetUpcallsResponse, Status>, Client)> {
    let response = Some(follower.next().await?);
    Some((Ok(v1::GetUpcallsResponse { response }), (follower, permit)))
}
