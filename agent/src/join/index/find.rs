//! Which spans an upcall belongs to.
//!
//! A connection is recognised by the client's address and port, which tell it apart from all others
//! to the same server. A server's span has these; a client's span mostly has not, but is the parent
//! of the server's. So there are two ways:
//!
//! 1. Spans that know the client's port. If there are any, whenever they were open, the connection
//!    is theirs: of these and of the clients' spans that are their parents, those count that were
//!    open at the time of the upcall.
//! 2. Otherwise, clients' spans that know the server alone. One counts if no other was open, and if
//!    no server's span shows that its connection is another one.
//!
//! On either side of the connection at most one span is found. If several were open there, such as
//! those of requests that share an HTTP/2 connection, it cannot be told whose packet it was, and
//! none is; unless one is the parent of the other, for then it is the inner one.

use opentelemetry::trace::{SpanId, TraceId};
use serde::Serialize;
use smallvec::SmallVec;

use super::SpanIndex;
use crate::join::connection::Connection;
use crate::join::span::{AppSpan, Key, Side, TimeRange};

/// Most spans of one key that are looked at for an upcall; if more have come since, none is found.
const MOST: usize = 4096;

/// Most spans open at a time of which the inner one is looked for.
const MOST_OPEN: usize = 8;

/// How certain it is that an upcall belongs to a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The server's address and port agree, and no other span that fits is open.
    Low,
    /// As low, and the client's address agrees too; or the client's address and port agree alone;
    /// or a client's span whose connection leads to where a server's span was found by translation
    /// of addresses, or by a proxy.
    Medium,
    /// The client's address and port agree, and the server's address or port.
    High,
    /// Both addresses and both ports agree.
    Exact,
}

impl Confidence {
    /// The name used in attributes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Exact => "exact",
        }
    }

    const fn lower(self) -> Self {
        match self {
            Self::Low | Self::Medium => Self::Low,
            Self::High => Self::Medium,
            Self::Exact => Self::High,
        }
    }

    /// Of a span that knows the client's port, by how many parts of the server agree.
    const fn of_client(server_parts: u32) -> Self {
        match server_parts {
            0 => Self::Medium,
            1 => Self::High,
            _ => Self::Exact,
        }
    }
}

/// A span that an upcall belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// How certain that is.
    pub confidence: Confidence,
}

/// The spans that an upcall belongs to, on either side of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of whoever has made the connection.
    pub client: Option<Match>,
    /// Of whoever has accepted it.
    pub server: Option<Match>,
    /// Several spans would have fitted, so that one that fits may be missing.
    pub is_ambiguous: bool,
}

impl Found {
    /// Those that are there, the client's first.
    pub fn matches(&self) -> impl Iterator<Item = Match> {
        [self.client, self.server].into_iter().flatten()
    }
}

type Candidates<'a> = SmallVec<[(&'a AppSpan, Confidence); MOST_OPEN]>;

/// Spans on the connection that were open at the time, or nearly.
struct Fitting<'a> {
    time: TimeRange,
    tolerance: u64,
    client: Candidates<'a>,
    server: Candidates<'a>,
    /// Spans that know the connection are there, open or not.
    is_known: bool,
    /// There were more than [`MOST`].
    is_crowded: bool,
}

impl<'a> Fitting<'a> {
    fn push(&mut self, span: &'a AppSpan, confidence: Confidence) {
        let to = match span.side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        if span.time.overlaps(self.time, self.tolerance)
            && !to.iter().any(|&(known, _)| std::ptr::eq(known, span))
        {
            to.push((span, confidence));
        }
    }
}

impl SpanIndex {
    /// The spans that were open at the time of an upcall whose packet belongs to this connection.
    /// Where none was, those count, with a lower confidence, that miss it by `tolerance`
    /// nanoseconds at most: clocks differ.
    #[must_use]
    pub fn find(&self, connection: &Connection, time: TimeRange, tolerance: u64) -> Found {
        let mut fitting = Fitting {
            time,
            tolerance,
            client: Candidates::new(),
            server: Candidates::new(),
            is_known: false,
            is_crowded: false,
        };
        let both_ways = [*connection, connection.reversed()];
        for to_server in &both_ways {
            self.of_client(to_server, &mut fitting);
        }
        if !fitting.is_known {
            for to_server in &both_ways {
                self.of_server(to_server, &mut fitting);
            }
        }
        if fitting.is_crowded {
            return Found { is_ambiguous: true, ..Found::default() };
        }
        let mut found = Found::default();
        for (spans, to) in
            [(&fitting.client, &mut found.client), (&fitting.server, &mut found.server)]
        {
            let open = open(spans, time);
            *to = innermost(&open);
            found.is_ambiguous |= to.is_none() && !open.is_empty();
        }
        found
    }

    /// The slots with this hash, down to the first one that came before the upcall: a span comes
    /// when it has ended, so that those before were not open any more.
    fn recent<'a>(
        &'a self,
        key: Key,
        fitting: &mut Fitting<'a>,
        mut each: impl FnMut(&'a AppSpan, &mut Fitting<'a>),
    ) {
        let since = fitting.time.start.saturating_sub(fitting.tolerance);
        for (count, slot) in self.by_connection.of(self.hash_of_key(key)).enumerate() {
            if count == MOST {
                fitting.is_crowded = true;
                return;
            }
            let slot = &self.slots[slot as usize];
            each(&slot.span, fitting);
            if slot.came < since {
                return;
            }
        }
    }

    /// Spans that know the client of this connection, and the parents of those of them that are a
    /// server's.
    fn of_client<'a>(&'a self, to_server: &Connection, fitting: &mut Fitting<'a>) {
        let is_this = |span: &AppSpan| {
            span.transport == to_server.transport && span.client.socket() == Some(to_server.source)
        };
        self.recent(Key::Client(to_server.source), fitting, |span, fitting| {
            if !is_this(span) {
                return;
            }
            let server_parts = span.server.agrees(to_server.destination);
            match (span.side, server_parts) {
                (Side::Client, Some(parts)) => {
                    fitting.is_known = true;
                    fitting.push(span, Confidence::of_client(parts));
                }
                (Side::Client, None) => {}
                (Side::Server, parts) => self.of_server_span(span, parts, to_server, fitting),
            }
        });
    }

    /// A server's span that knows the client, and its parent.
    ///
    /// Each of both may know what the other does not. Where addresses are translated on the way,
    /// they know the server by different ones, and a packet has one of them, before or after.
    fn of_server_span<'a>(
        &'a self,
        span: &'a AppSpan,
        server_parts: Option<u32>,
        to_server: &Connection,
        fitting: &mut Fitting<'a>,
    ) {
        let parent = self.by_id(span.trace_id, span.parent);
        let parent = parent.filter(|parent| parent.side == Side::Client);
        let parent_parts = parent.and_then(|parent| Some(parent.agrees(to_server)?.server));
        let (confidence, of_parent) = match (server_parts, parent_parts) {
            (Some(own), Some(parts)) => {
                let confidence = Confidence::of_client(own.max(parts));
                (confidence, if parts == 2 { confidence } else { confidence.min(Confidence::High) })
            }
            // The client has used this port for another server, too.
            (Some(0), None) if parent.is_some_and(|parent| parent.server.address.is_some()) => {
                return;
            }
            (Some(own), None) => (Confidence::of_client(own), Confidence::Medium),
            (None, Some(2)) => (Confidence::Medium, Confidence::Medium),
            (None, _) => return,
        };
        fitting.is_known = true;
        fitting.push(span, confidence);
        if let Some(parent) = parent {
            fitting.push(parent, of_parent);
        }
    }

    /// Clients' spans that know the server of this connection, but not the client's port.
    fn of_server<'a>(&'a self, to_server: &Connection, fitting: &mut Fitting<'a>) {
        self.recent(Key::Server(to_server.destination), fitting, |span, fitting| {
            let is_wanted = span.side == Side::Client
                && span.server.socket() == Some(to_server.destination)
                && !self.is_claimed(span);
            match span.agrees(to_server).filter(|_| is_wanted) {
                Some(agreement) if agreement.client > 0 => fitting.push(span, Confidence::Medium),
                Some(_) => fitting.push(span, Confidence::Low),
                None => {}
            }
        });
    }

    /// Whether a server's span shows on which connection this client's span was.
    fn is_claimed(&self, client: &AppSpan) -> bool {
        let hash = self.hash_of_id(client.trace_id, client.span_id);
        self.spans(&self.by_parent, hash)
            .take(MOST_OPEN)
            .any(|server| server.trace_id == client.trace_id && server.parent == client.span_id)
    }
}

/// Those that were open; where none was, those that were nearly.
fn open<'a>(spans: &Candidates<'a>, time: TimeRange) -> Candidates<'a> {
    let open: Candidates<'a> =
        spans.iter().copied().filter(|(span, _)| span.time.overlaps(time, 0)).collect();
    if open.is_empty() {
        return spans.iter().map(|&(span, confidence)| (span, confidence.lower())).collect();
    }
    open
}

/// The one span of these that is no other's parent.
fn innermost(open: &Candidates<'_>) -> Option<Match> {
    let best = open.iter().map(|&(_, confidence)| confidence).max()?;
    if open.len() > MOST_OPEN {
        return None;
    }
    let is_parent = |outer: &AppSpan| {
        open.iter()
            .any(|(inner, _)| inner.trace_id == outer.trace_id && inner.parent == outer.span_id)
    };
    let mut inner =
        open.iter().filter(|&&(span, confidence)| confidence == best && !is_parent(span));
    match (inner.next(), inner.next()) {
        (Some(&(span, confidence)), None) => {
            Some(Match { trace_id: span.trace_id, span_id: span.span_id, confidence })
        }
        _ => None,
    }
}
