//! What applications say of their spans.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use anyhow::{Context, bail};
use serde_json::Value;

/// A span's trace and id, in hexadecimal.
pub(super) type SpanKey = (String, String);

/// On which end of its connection a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// A span, as its application knows it.
#[derive(Clone, Debug)]
pub(super) struct AppSpan {
    pub(super) key: SpanKey,
    pub(super) side: Side,
    /// In nanoseconds since 1970.
    pub(super) time: RangeInclusive<u64>,
    /// The ends of its connection.
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    /// Whether its connection can be told from what it says, or from what its child says.
    pub(super) says_client: bool,
}

impl AppSpan {
    /// From a line of JSON that an application wrote.
    pub(super) fn read(line: &Value) -> anyhow::Result<Self> {
        let string = |name: &str| line[name].as_str().with_context(|| format!("{name}: {line}"));
        let nanos = |name: &str| line[name].as_u64().with_context(|| format!("{name}: {line}"));
        let side = match string("side")? {
            "client" => Side::Client,
            "server" => Side::Server,
            side => bail!("{side} is no side of a connection"),
        };
        Ok(Self {
            key: (string("trace_id")?.to_owned(), string("span_id")?.to_owned()),
            side,
            time: nanos("start")?..=nanos("end")?,
            client: string("client")?.parse().with_context(|| format!("client: {line}"))?,
            server: string("server")?.parse().with_context(|| format!("server: {line}"))?,
            says_client: line["says_client"].as_bool().context("says_client")?,
        })
    }

    /// Whether it was open at some time of these.
    pub(super) fn overlaps(&self, time: &RangeInclusive<u64>) -> bool {
        self.time.start() <= time.end() && time.start() <= self.time.end()
    }
}
