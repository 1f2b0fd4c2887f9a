//! What the receiver took, and what it did not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Without the token.
    Unauthenticated,
    /// Larger than allowed.
    TooLarge,
    /// No request of OTLP.
    Malformed,
    /// It did not come in time.
    Stalled,
    /// Its connection broke.
    Broken,
    /// No room in the queue, or too many requests at a time.
    Busy,
}

impl Refusal {
    const ALL: [Self; 6] = [
        Self::Unauthenticated,
        Self::TooLarge,
        Self::Malformed,
        Self::Stalled,
        Self::Broken,
        Self::Busy,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Stalled => "stalled",
            Self::Broken => "broken",
            Self::Busy => "busy",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    requests: AtomicU64,
    spans: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Counts {
    pub(super) fn taken(&self, spans: usize) {
        self.requests.fetch_add(1, Relaxed);
        self.spans.fetch_add(spans as u64, Relaxed);
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn totals(&self) -> ReceiverTotals {
        let refused = Refusal::ALL
            .into_iter()
            .map(|refusal| (refusal.name(), self.refused[refusal as usize].load(Relaxed)))
            .filter(|&(_, count)| count > 0)
            .collect();
        ReceiverTotals {
            requests: self.requests.load(Relaxed),
            spans: self.spans.load(Relaxed),
            refused,
        }
    }
}

/// What a receiver took. Where the spans ended, the exporter's account of forwarded spans says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReceiverTotals {
    /// Requests that were taken.
    pub requests: u64,
    /// Spans in them.
    pub spans: u64,
    /// Requests that were refused, by reason: the application knows of each.
    pub refused: BTreeMap<&'static str, u64>,
}

impl fmt::Display for ReceiverTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().sum();
        write!(f, "{} spans in {} requests, {refused} refused", self.spans, self.requests)?;
        for (i, (reason, count)) in self.refused.iter().enumerate() {
            write!(f, "{}{reason} {count}", if i == 0 { " (" } else { ", " })?;
        }
        f.write_str(if refused > 0 { ")" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason() {
        let counts = Counts::default();
        counts.taken(3);
        assert_eq!(counts.totals().to_string(), "3 spans in 1 requests, 0 refused");
        counts.refused(Refusal::Busy);
        counts.refused(Refusal::Malformed);
        counts.refused(Refusal::Busy);
        assert_eq!(
            counts.totals().to_string(),
            "3 spans in 1 requests, 3 refused (busy 2, malformed 1)"
        );
        assert!(Refusal::ALL.iter().enumerate().all(|(i, refusal)| *refusal as usize == i));
    }
}
