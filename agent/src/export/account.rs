//! Where every span ended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::failure::FailureReason;

/// Counts, for one destination, where each span handed to it ended: delivered, rejected or failed.
///
/// Spans enter with a ticket that can be settled once, and that counts them as failed by shutdown if
/// it is dropped unsettled: no path through the exporter, not even an aborted task, loses count.
#[derive(Debug)]
pub struct Account {
    accepted: AtomicU64,
    delivered: AtomicU64,
    rejected: AtomicU64,
    failed: [AtomicU64; FailureReason::COUNT],
    requests: AtomicU64,
    retries: AtomicU64,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: [const { AtomicU64::new(0) }; FailureReason::COUNT],
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }
}

impl Account {
    /// Takes `spans` spans in.
    pub(crate) fn accept(self: &Arc<Self>, spans: usize) -> Ticket {
        let spans = spans as u64;
        self.accepted.fetch_add(spans, Relaxed);
        Ticket { account: Arc::clone(self), spans }
    }

    /// The counts as they are now. While spans are under way, [`Totals::pending`] is not zero.
    #[must_use]
    pub fn totals(&self) -> Totals {
        // `accepted` last, so that what settles meanwhile cannot make more ends than beginnings.
        let failed = FailureReason::all()
            .zip(&self.failed)
            .map(|(reason, count)| (reason.name(), count.load(Relaxed)))
            .filter(|&(_, count)| count > 0)
            .collect();
        let delivered = self.delivered.load(Relaxed);
        let rejected = self.rejected.load(Relaxed);
        Totals {
            delivered,
            rejected,
            failed,
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
        }
    }
}

/// The one end that the spans of a batch are owed.
#[derive(Debug)]
pub(crate) struct Ticket {
    account: Arc<Account>,
    spans: u64,
}

impl Ticket {
    /// The batch is about to be sent again.
    pub(crate) fn retried(&self) {
        self.account.retries.fetch_add(1, Relaxed);
    }

    /// The destination took the batch, but for `rejected` spans.
    pub(crate) fn delivered(mut self, rejected: u64) {
        let spans = std::mem::take(&mut self.spans);
        let rejected = rejected.min(spans);
        self.account.rejected.fetch_add(rejected, Relaxed);
        self.account.delivered.fetch_add(spans - rejected, Relaxed);
        self.account.requests.fetch_add(1, Relaxed);
    }

    /// The batch was given up.
    pub(crate) fn failed(mut self, reason: FailureReason) {
        self.fail(reason);
    }

    fn fail(&mut self, reason: FailureReason) {
        let spans = std::mem::take(&mut self.spans);
        self.account.failed[reason.index()].fetch_add(spans, Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.fail(FailureReason::Shutdown);
    }
}

/// A snapshot of an [`Account`], in spans where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Handed over by the pipeline.
    pub accepted: u64,
    /// Acknowledged by the destination.
    pub delivered: u64,
    /// Refused by the backend in an answer of partial success; never sent again.
    pub rejected: u64,
    /// Given up, by [`FailureReason::name`].
    pub failed: BTreeMap<&'static str, u64>,
    /// Requests (or lines of a file) that the destination acknowledged.
    pub requests: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
}

impl Totals {
    /// Spans given up for whatever reason.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Spans whose end is not known yet: zero once the exporter was shut down.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.accepted.saturating_sub(self.delivered + self.rejected + self.failed())
    }

    /// Whether every span was delivered.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.delivered == self.accepted
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed();
        write!(
            f,
            "{} spans: {} delivered, {} rejected, {failed} failed",
            self.accepted, self.delivered, self.rejected,
        )?;
        for (i, (reason, count)) in self.failed.iter().enumerate() {
            write!(f, "{}{reason} {count}", if i == 0 { " (" } else { ", " })?;
        }
        if failed > 0 {
            f.write_str(")")?;
        }
        match self.pending() {
            0 => Ok(()),
            pending => write!(f, ", {pending} under way"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_ticket_ends_once_and_never_in_nothing() {
        let account = Arc::new(Account::default());
        account.accept(10).delivered(0);
        account.accept(10).delivered(3);
        account.accept(10).failed(FailureReason::Status(Code::Unimplemented));
        drop(account.accept(10));
        let open = account.accept(2);

        let totals = account.totals();
        assert_eq!(totals.accepted, 42);
        assert_eq!(totals.delivered, 17);
        assert_eq!(totals.rejected, 3);
        assert_eq!(totals.failed, BTreeMap::from([("UNIMPLEMENTED", 10), ("shutdown", 10)]));
        assert_eq!(totals.pending(), 2);
        assert_eq!(
            totals.to_string(),
            "42 spans: 17 delivered, 3 rejected, 20 failed (UNIMPLEMENTED 10, shutdown 10), \
             2 under way"
        );
        drop(open);
    }

    #[test]
    fn a_backend_cannot_reject_more_than_it_was_sent() {
        let account = Arc::new(Account::default());
        account.accept(4).delivered(u64::MAX);
        let totals = account.totals();
        assert_eq!((totals.delivered, totals.rejected, totals.pending()), (0, 4, 0));
        assert!(!totals.is_lossless());
    }

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        let names: std::collections::BTreeSet<_> =
            FailureReason::all().map(FailureReason::name).collect();
        assert_eq!(names.len(), FailureReason::COUNT);
        assert!(FailureReason::all().enumerate().all(|(i, reason)| reason.index() == i));
    }

    #[test]
    fn totals_are_json() {
        let account = Arc::new(Account::default());
        account.accept(2).failed(FailureReason::Timeout);
        assert_eq!(
            serde_json::to_value(account.totals()).unwrap(),
            serde_json::json!({
                "accepted": 2, "delivered": 0, "rejected": 0, "failed": {"timeout": 2},
                "requests": 0, "retries": 0,
            })
        );
    }
}
