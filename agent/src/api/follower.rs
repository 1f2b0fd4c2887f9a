//! One client's way through the ring.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, SystemTime};

use tokio::time::sleep;
use upspan_proto::v1;
use upspan_proto::v1::get_upcalls_response::Response;

use super::filter::Filter;
use super::mask::Mask;
use super::message;
use super::recorder::Shared;
use super::ring::{Found, Sequence};
use crate::per_kind::PerKind;
use crate::trace::TimeAnchor;

/// Between two looks into the ring, where there is nothing new: short for people, and still next to
/// nothing for a machine. To be woken up would cost the pipeline more than all of its own work.
const PAUSE: Duration = Duration::from_millis(20);

/// How long it may take until an upcall is put together: the time that the correlator gives it.
const SETTLED: Duration = Duration::from_secs(10);

/// Entries looked at before others get their turn.
const TURN: u32 = 256;

/// Which upcalls of the ring a client wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) last: Option<u64>,
    pub(super) since_unix_ns: Option<u64>,
    pub(super) until_unix_ns: Option<u64>,
    pub(super) follow: bool,
    pub(super) filter: Filter,
    pub(super) mask: Mask,
}

impl Selection {
    fn passes(&self, entry: &super::entry::Entry) -> bool {
        let start = entry.start_unix_ns();
        self.since_unix_ns.is_none_or(|since| start >= since)
            && self.until_unix_ns.is_none_or(|until| start <= until)
            && self.filter.passes(entry)
    }
}

/// What all clients have in common.
#[derive(Debug, Default)]
pub(super) struct Clients {
    pub(super) streams: AtomicU32,
    /// Upcalls that they have missed.
    pub(super) missed: AtomicU64,
}

/// One client.
#[derive(Debug)]
pub(super) struct Follower {
    shared: Arc<Shared>,
    clients: Arc<Clients>,
    selection: Selection,
    /// The place to look at next.
    next: Sequence,
    /// Where it ends, unless it is to go on with what comes.
    end: Option<Sequence>,
    /// What the capture had lost by the time that this client knows of.
    known_lost: PerKind<u64>,
    /// What to say before anything else.
    pending: VecDeque<Response>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, clients: Arc<Clients>, selection: Selection) -> Self {
        clients.streams.fetch_add(1, Relaxed);
        let end = shared.ring.end();
        let next = start(&shared, &selection, end);
        // What was lost before the first upcall is of no interest.
        let known_lost = match shared.ring.look(next, |entry| entry.lost) {
            Found::Entry(lost) => lost,
            Found::NotYet | Found::Gone => shared.lost.get(),
        };
        let end = (!selection.follow).then_some(end);
        Self { shared, clients, selection, next, end, known_lost, pending: VecDeque::new() }
    }

    /// The next element of the stream; `None` at its end.
    pub(super) async fn next(&mut self) -> Option<Response> {
        let mut looked_at = 0;
        loop {
            if let Some(pending) = self.pending.pop_front() {
                return Some(pending);
            }
            if self.end.is_some_and(|end| self.next >= end) {
                return None;
            }
            // Before the look: what was written ahead of the end is still to be told.
            let has_ended = self.shared.ended.is_cancelled();
            let (selection, known) = (&self.selection, &self.known_lost);
            let found = self.shared.ring.look(self.next, |entry| {
                let lost = (entry.lost != *known).then_some(entry.lost);
                (lost, selection.passes(entry).then(|| entry.clone()))
            });
            match found {
                Found::Entry((lost, entry)) => {
                    self.lost(lost);
                    if let Some(entry) = entry {
                        let mut upcall = message::upcall(self.next, &entry);
                        self.selection.mask.apply(&mut upcall);
                        self.pending.push_back(Response::Upcall(upcall));
                    }
                    self.next += 1;
                }
                Found::Gone => self.skip(),
                Found::NotYet => {
                    self.lost(Some(self.shared.lost.get()));
                    if self.pending.is_empty() && (has_ended || self.is_over()) {
                        return None;
                    }
                    if self.pending.is_empty() {
                        tokio::select! {
                            () = sleep(PAUSE) => {}
                            () = self.shared.ended.cancelled() => {}
                        }
                    }
                }
            }
            looked_at += 1;
            if looked_at % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The client was too slow. It goes on with what has some time left until it goes, so that it
    /// does not miss something again at once.
    fn skip(&mut self) {
        let ring = &self.shared.ring;
        let next = ring.oldest() + ring.capacity() / 4;
        let next = next.max(self.next + 1).min(ring.end());
        let count = next - self.next;
        self.next = next;
        self.clients.missed.fetch_add(count, Relaxed);
        let source = v1::LostSource::Client.into();
        self.pending.push_back(Response::Lost(v1::Lost { source, count, kind: 0 }));
    }

    /// Tells what the capture has lost since it was told last.
    fn lost(&mut self, lost: Option<PerKind<u64>>) {
        let Some(lost) = lost else { return };
        for (kind, &count) in lost.iter() {
            let known = &mut self.known_lost[kind];
            if count > *known {
                self.pending.push_back(Response::Lost(v1::Lost {
                    source: v1::LostSource::Capture.into(),
                    count: count - *known,
                    kind: message::event_kind(kind).into(),
                }));
                *known = count;
            }
        }
    }

    /// Whether nothing that is wanted can come any more.
    fn is_over(&self) -> bool {
        let Some(until) = self.selection.until_unix_ns else { return false };
        let now = TimeAnchor::at(Default::default(), SystemTime::now());
        let now = now.to_unix_ns(Default::default());
        now.saturating_sub(SETTLED.as_nanos() as u64) > until
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.clients.streams.fetch_sub(1, Relaxed);
    }
}

/// The place of the first upcall that is wanted.
fn start(shared: &Shared, selection: &Selection, end: Sequence) -> Sequence {
    let ring = &shared.ring;
    let oldest = end.saturating_sub(ring.capacity());
    let last = match selection.last {
        Some(last) => last,
        None if selection.follow && selection.since_unix_ns.is_none() => 0,
        None => return oldest,
    };
    let (mut first, mut found) = (end, 0);
    while first > oldest && found < last {
        match ring.look(first - 1, |entry| selection.passes(entry)) {
            Found::Entry(passes) => found += u64::from(passes),
            Found::NotYet | Found::Gone => break,
        }
        first -= 1;
    }
    first
}
