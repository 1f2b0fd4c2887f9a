//! How long to wait before an export is tried again, and when to give up.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use thiserror::Error;
use tokio::time::Instant;

use super::failure::Retry;

/// Exponential back-off with full jitter: the n-th retry waits a random time between zero and a
/// ceiling that doubles from `initial` up to `max`. Agents on a thousand nodes that lost the same
/// backend thus do not come back in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
}

/// A [`Backoff`] that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidBackoff {
    /// Retries would spin.
    #[error("the initial back-off must be longer than zero")]
    Zero,
    /// The range is empty.
    #[error("the maximum back-off must not be shorter than the initial one")]
    MaxBelowInitial,
}

impl Backoff {
    /// A back-off whose ceiling starts at `initial` and ends at `max`.
    ///
    /// # Errors
    /// When `initial` is zero or longer than `max`.
    pub const fn new(initial: Duration, max: Duration) -> Result<Self, InvalidBackoff> {
        if initial.is_zero() {
            return Err(InvalidBackoff::Zero);
        }
        if max.as_nanos() < initial.as_nanos() {
            return Err(InvalidBackoff::MaxBelowInitial);
        }
        Ok(Self { initial, max })
    }

    /// Longest wait before retry number `retry`, counted from 0.
    #[must_use]
    pub fn ceiling(&self, retry: u32) -> Duration {
        let factor = 1_u32.checked_shl(retry).unwrap_or(u32::MAX);
        self.initial.saturating_mul(factor).min(self.max)
    }

    fn delay(&self, retry: u32) -> Duration {
        rand::rng().random_range(Duration::ZERO..=self.ceiling(retry))
    }
}

impl Default for Backoff {
    /// From half a second to ten: quick enough to catch a backend's restart, and little traffic for
    /// one that stays away.
    fn default() -> Self {
        Self { initial: Duration::from_millis(500), max: Duration::from_secs(10) }
    }
}

/// When and for how long a failed batch is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    backoff: Backoff,
    max_elapsed: Duration,
}

impl RetryPolicy {
    /// How long a batch is retried unless configured: the restart of a backend fits in, rolling
    /// upgrades and image pulls included.
    pub const DEFAULT_MAX_ELAPSED: Duration = Duration::from_secs(300);

    /// Retries with `backoff` until `max_elapsed` has passed since the batch was first sent; zero
    /// means a single attempt.
    #[must_use]
    pub const fn new(backoff: Backoff, max_elapsed: Duration) -> Self {
        Self { backoff, max_elapsed }
    }

    /// How long a batch is retried.
    #[must_use]
    pub const fn max_elapsed(&self) -> Duration {
        self.max_elapsed
    }

    /// How long to wait before retry number `retry` (from 0) of a batch that has been tried for
    /// `elapsed`; `None` when it is to be given up.
    pub(crate) fn next(&self, retry: Retry, count: u32, elapsed: Duration) -> Option<Duration> {
        let delay = match retry {
            Retry::Never => return None,
            Retry::Backoff => self.backoff.delay(count),
            // A backend that asks for no delay at all must not be asked in a loop.
            Retry::After(least) => least.max(self.backoff.delay(count)),
        };
        (elapsed.saturating_add(delay) < self.max_elapsed).then_some(delay)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(Backoff::default(), Self::DEFAULT_MAX_ELAPSED)
    }
}

/// Since when the backend has taken nothing from any of the requests in flight.
///
/// A batch that comes while the backend has been away for the whole retry budget gets one attempt
/// only. Otherwise each of a recording's thousands of batches would wait for the budget anew, and a
/// replay to a dead endpoint would take days to say so.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// Notes a failure that may heal, and says how long that has been so.
    pub(crate) fn goes_on(&self) -> Duration {
        let now = Instant::now();
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.duration_since(*since.get_or_insert(now))
    }

    /// Notes that the backend took a request.
    pub(crate) fn is_over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let backoff = Backoff::new(SECOND, 5 * SECOND).unwrap();
        assert_eq!([0, 1, 2, 3, 99].map(|n| backoff.ceiling(n).as_secs()), [1, 2, 4, 5, 5]);
    }

    #[test]
    fn a_backoff_that_spins_or_is_empty_is_refused() {
        assert_eq!(Backoff::new(Duration::ZERO, SECOND), Err(InvalidBackoff::Zero));
        assert_eq!(Backoff::new(2 * SECOND, SECOND), Err(InvalidBackoff::MaxBelowInitial));
    }

    #[test]
    fn the_backends_delay_is_kept_exactly() {
        let policy = RetryPolicy::new(Backoff::default(), 60 * SECOND);
        assert_eq!(policy.next(Retry::After(7 * SECOND), 0, SECOND), Some(7 * SECOND));
    }

    #[test]
    fn a_batch_is_given_up_when_the_next_attempt_would_be_too_late() {
        let policy = RetryPolicy::new(Backoff::default(), 60 * SECOND);
        assert_eq!(policy.next(Retry::After(7 * SECOND), 0, 53 * SECOND), None);
        assert_eq!(policy.next(Retry::After(Duration::MAX), 0, SECOND), None);
        assert_eq!(policy.next(Retry::Never, 0, Duration::ZERO), None);
        let once = RetryPolicy::new(Backoff::default(), Duration::ZERO);
        assert_eq!(once.next(Retry::Backoff, 0, Duration::ZERO), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_lasts_from_the_first_failure_to_the_next_success() {
        let outage = Outage::default();
        assert_eq!(outage.goes_on(), Duration::ZERO);
        tokio::time::advance(SECOND).await;
        assert_eq!(outage.goes_on(), SECOND);
        outage.is_over();
        assert_eq!(outage.goes_on(), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn jitter_stays_below_the_ceiling(
            initial in 1_u64..1_000_000, more in 0_u64..u64::MAX / 2, retry: u32,
        ) {
            let initial = Duration::from_micros(initial);
            let max = initial.saturating_add(Duration::from_micros(more));
            let backoff = Backoff::new(initial, max).unwrap();
            prop_assert!(backoff.delay(retry) <= backoff.ceiling(retry));
            prop_assert!(backoff.ceiling(retry) <= max);
        }
    }
}
