//! Upcalls meet the spans of applications: by connection and time.
//!
//! Applications send their spans by way of the agent ([`receiver`](crate::receiver)), which puts
//! those that are about connections into a [`SharedIndex`]. An upcall whose packet has a connection
//! waits in the [`Joiner`], for spans come when they have ended. After the window it gets links to
//! the spans on its connection that were open at the time. A link is the strongest claim that is
//! made: by what a span says of its connection no upcall becomes its child, but a stand-in may
//! ([`JoinConfig::app_spans`]).
//!
//! ```
//! use upspan::join::{Confidence, Connection, SharedIndex, Socket, TimeRange, Transport};
//!
//! let index = SharedIndex::new(1 << 20, std::time::Duration::from_secs(20));
//! let client = Socket { address: "10.0.0.1".parse()?, port: 40_000 };
//! let server = Socket { address: "10.0.0.2".parse()?, port: 80 };
//! let connection = Connection { transport: Transport::Tcp, source: client, destination: server };
//! let found = index.find(&connection, TimeRange { start: 1, end: 2 }, 0);
//! assert_eq!(found.matches().count(), 0);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod attributes;
mod connection;
mod index;
mod options;
pub(crate) mod scan;
mod shared;
mod span;
#[cfg(test)]
mod tests;
mod waiting;

use std::time::{Duration, Instant};

pub use connection::{Connection, Endpoint, Socket, Transport};
pub use index::{Confidence, Found, IndexCounts, Match, SpanIndex};
pub use options::JoinOptions;
use serde::Serialize;
pub use shared::SharedIndex;
use smallvec::SmallVec;
pub use span::{AppSpan, Side, TimeRange};

use self::waiting::{Held, Waiting};
use crate::trace::{RootSpan, SpanLink};

/// `ovs.correlation.method` of what is joined here.
const METHOD: &str = "five_tuple";

/// How to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinConfig {
    /// How long an upcall waits for the spans of its connection.
    pub window: Duration,
    /// By how much the clocks of applications and agent may differ.
    pub tolerance: Duration,
    /// Bytes of traces that wait at most; past it, the oldest goes on early.
    pub max_bytes: usize,
    /// Least confidence of a link.
    pub min_confidence: Confidence,
    /// Whether the application's trace gets a span for the upcall.
    pub app_spans: bool,
}

impl JoinConfig {
    /// Wait unless configured: applications send what they have after 5 s by default
    /// (`OTEL_BSP_SCHEDULE_DELAY`), and their requests take a moment, too.
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(6);

    /// Difference of clocks unless configured. On one node all read the same clock, which may be
    /// slewed by 0.05 % in the ten seconds between two measurements of ours.
    pub const DEFAULT_TOLERANCE: Duration = Duration::from_millis(5);

    /// Bytes of traces that wait unless configured: some 30,000 upcalls.
    pub const DEFAULT_BYTES: usize = 64 << 20;
}

impl Default for JoinConfig {
    fn default() -> Self {
        Self {
            window: Self::DEFAULT_WINDOW,
            tolerance: Self::DEFAULT_TOLERANCE,
            max_bytes: Self::DEFAULT_BYTES,
            min_confidence: Confidence::Medium,
            app_spans: false,
        }
    }
}

/// What became of the upcalls that waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JoinTotals {
    /// Upcalls that waited for spans and went on.
    pub upcalls: u64,
    /// Those that got a link.
    pub linked: u64,
    /// Those on whose connection several spans were open, of which none was chosen.
    pub ambiguous: u64,
    /// Those that went on before their time, as there was no more room. They may lack links.
    pub early: u64,
    /// Spans that were added to applications' traces.
    pub app_spans: u64,
}

/// A trace that has waited, and what it is to get.
#[derive(Debug)]
pub struct Joined<'a> {
    /// The trace, encoded.
    pub trace: &'a [u8],
    /// How many spans it has.
    pub spans: usize,
    /// Its root.
    pub root: RootSpan,
    /// Links of its root, the client's first.
    pub links: SmallVec<[SpanLink; 2]>,
    /// Spans of applications that get a child, one in each trace.
    pub parents: SmallVec<[SpanLink; 2]>,
}

/// Holds traces of upcalls back until the spans of their connections are there.
#[derive(Debug)]
pub struct Joiner {
    config: JoinConfig,
    index: SharedIndex,
    waiting: Waiting,
    totals: JoinTotals,
}

impl Joiner {
    /// A joiner with the spans of this index.
    #[must_use]
    pub fn new(config: JoinConfig, index: SharedIndex) -> Self {
        let waiting = Waiting::new(config.max_bytes);
        Self { config, index, waiting, totals: JoinTotals::default() }
    }

    /// What became of the upcalls so far.
    #[must_use]
    pub const fn totals(&self) -> JoinTotals {
        self.totals
    }

    /// How many traces wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes an encoded trace in, of an upcall on this connection. What must make room for it goes
    /// to `out`, and so does the trace itself if there can be no room.
    pub fn hold(
        &mut self,
        now: Instant,
        connection: Connection,
        (trace, spans): (&[u8], usize),
        out: &mut dyn FnMut(&Joined<'_>),
    ) {
        let held = Held { connection, spans, until: now + self.config.window };
        while !self.waiting.push(held, trace) {
            self.totals.early += 1;
            if !self.release_first(out) {
                Self::join(&self.config, &self.index, &mut self.totals, &held, trace, out);
                return;
            }
        }
    }

    /// Hands on what has waited long enough.
    pub fn release(&mut self, now: Instant, out: &mut dyn FnMut(&Joined<'_>)) {
        while self.waiting.front().is_some_and(|(held, _)| held.until <= now) {
            self.release_first(out);
        }
    }

    /// Hands on everything, with what is known by now.
    pub fn release_all(&mut self, out: &mut dyn FnMut(&Joined<'_>)) {
        while self.release_first(out) {}
    }

    /// Says whether there was one.
    fn release_first(&mut self, out: &mut dyn FnMut(&Joined<'_>)) -> bool {
        let Some((held, trace)) = self.waiting.front() else { return false };
        Self::join(&self.config, &self.index, &mut self.totals, held, trace, out);
        self.waiting.pop();
        true
    }

    fn join(
        config: &JoinConfig,
        index: &SharedIndex,
        totals: &mut JoinTotals,
        held: &Held,
        trace: &[u8],
        out: &mut dyn FnMut(&Joined<'_>),
    ) {
        let Some(root) = RootSpan::of(trace) else { return };
        let time = TimeRange { start: root.start_unix_ns, end: root.end_unix_ns };
        let tolerance = u64::try_from(config.tolerance.as_nanos()).unwrap_or(u64::MAX);
        let found = index.find(&held.connection, time, tolerance);
        let links: SmallVec<[SpanLink; 2]> = found
            .matches()
            .filter(|found| found.confidence >= config.min_confidence)
            .map(|found| SpanLink {
                trace_id: found.trace_id,
                span_id: found.span_id,
                method: METHOD,
                confidence: found.confidence.name(),
            })
            .collect();
        let mut parents: SmallVec<[SpanLink; 2]> = SmallVec::new();
        if config.app_spans {
            for link in &links {
                if parents.iter().all(|parent| parent.trace_id != link.trace_id) {
                    parents.push(*link);
                }
            }
        }
        totals.upcalls += 1;
        totals.linked += u64::from(!links.is_empty());
        totals.ambiguous += u64::from(links.is_empty() && found.is_ambiguous);
        totals.app_spans += parents.len() as u64;
        out(&Joined { trace, spans: held.spans, root, links, parents });
    }
}
