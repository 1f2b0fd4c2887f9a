//! What the index keeps of an application's span.

use opentelemetry::trace::{SpanId, TraceId};

use super::connection::{Connection, Endpoint, Socket, Transport};

/// On which end of its connection a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// It has made the connection: spans of the kinds CLIENT and PRODUCER, and CONSUMER, which
    /// fetches its messages from a broker.
    Client,
    /// It has accepted it: spans of the kind SERVER.
    Server,
}

/// A span of an application that is about a connection, or may be the parent of one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppSpan {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Its parent's id; invalid if it has none.
    pub parent: SpanId,
    /// Start and end in nanoseconds since the Unix epoch.
    pub time: TimeRange,
    /// On which end it is.
    pub side: Side,
    /// Protocol of the connection.
    pub transport: Transport,
    /// The end that has made the connection, as far as the span knows it.
    pub client: Endpoint,
    /// The end that has accepted it, as far as the span knows it.
    pub server: Endpoint,
}

/// What a span's connection is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The client's address and port, which tells connections apart.
    Client(Socket),
    /// The server's, where the client's port is not known.
    Server(Socket),
}

impl AppSpan {
    pub(super) fn key(&self) -> Option<Key> {
        let client = self.client.socket().map(Key::Client);
        client.or_else(|| self.server.socket().map(Key::Server))
    }

    /// How many of the four parts of a connection are known and agree with a packet that goes to
    /// the server; `None` if one does not.
    pub(super) fn agrees(&self, to_server: &Connection) -> Option<Agreement> {
        if self.transport != to_server.transport {
            return None;
        }
        Some(Agreement {
            client: self.client.agrees(to_server.source)?,
            server: self.server.agrees(to_server.destination)?,
        })
    }
}

/// How many parts, of address and port, agree on either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) client: u32,
    pub(super) server: u32,
}

/// From one instant to another, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first.
    pub start: u64,
    /// The last, not before the first.
    pub end: u64,
}

impl TimeRange {
    /// Whether both have an instant in common, if one of them is longer by `tolerance` at either
    /// end.
    #[must_use]
    pub const fn overlaps(self, other: Self, tolerance: u64) -> bool {
        self.start <= other.end.saturating_add(tolerance)
            && other.start <= self.end.saturating_add(tolerance)
    }
}
