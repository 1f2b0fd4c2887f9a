//! The index as receiver and joiner share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::connection::Connection;
use super::index::{Found, IndexCounts, SpanIndex};
use super::span::{AppSpan, TimeRange};

/// A [`SpanIndex`] that the receiver fills and the joiner asks, each for a moment at a time.
#[derive(Clone, Debug)]
pub struct SharedIndex {
    index: Arc<Mutex<SpanIndex>>,
    keep: Duration,
}

impl SharedIndex {
    /// An index of so many bytes, for upcalls that are asked about at most `keep` after they
    /// happened.
    #[must_use]
    pub fn new(bytes: usize, keep: Duration) -> Self {
        Self { index: Arc::new(Mutex::new(SpanIndex::new(bytes))), keep }
    }

    /// Takes in spans that have come now, and lets go of what is too old to matter.
    pub fn insert(&self, spans: &[AppSpan]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut index = self.lock();
        index.expire(nanos(now.saturating_sub(self.keep)));
        for &span in spans {
            index.insert(span, nanos(now));
        }
    }

    /// As [`SpanIndex::find`].
    #[must_use]
    pub fn find(&self, connection: &Connection, time: TimeRange, tolerance: u64) -> Found {
        self.lock().find(connection, time, tolerance)
    }

    /// As [`SpanIndex::counts`].
    #[must_use]
    pub fn counts(&self) -> IndexCounts {
        self.lock().counts()
    }

    fn lock(&self) -> MutexGuard<'_, SpanIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
