//! What went wrong, in the words of who said it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tracing::warn;

use super::failure::{Failure, FailureReason};

/// Distinct problems kept. A backend that puts a request id into each message must not fill memory.
const KEPT: usize = 8;

/// Shortest time between two warnings of problems seen before.
const QUIET: Duration = Duration::from_secs(30);

/// A distinct problem of an export and how often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its kind; `None` for a warning of a backend that accepted or partly accepted a request.
    pub reason: Option<FailureReason>,
    /// What was said.
    pub message: String,
    /// How many requests met it, retries included.
    pub count: u64,
}

impl Problem {
    /// What to do about it, as a sentence, where that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        self.reason.map(FailureReason::advice)
    }
}

/// Keeps the first few distinct problems for the final word, and logs without flooding.
#[derive(Debug, Default)]
pub(crate) struct Problems(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept: Vec<Problem>,
    warned: Option<Instant>,
}

impl Problems {
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.note(Some(failure.reason), &failure.message) {
            warn!(
                reason = failure.reason.name(),
                "export failed: {}. {}",
                failure.message,
                failure.reason.advice()
            );
        }
    }

    /// There was no room for a batch.
    pub(crate) fn queue_full(&self) {
        let (reason, message) = (FailureReason::QueueFull, "the queue is full");
        if self.note(Some(reason), message) {
            warn!(reason = reason.name(), "spans were dropped: {message}. {}", reason.advice());
        }
    }

    /// The message of a partial success.
    pub(crate) fn partial_success(&self, rejected: u64, message: &str) {
        if self.note(None, message) {
            warn!(rejected, "the backend took part of a request only: {message}");
        }
    }

    pub(crate) fn list(&self) -> Vec<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.clone()
    }

    /// Counts it, and says whether to log it.
    fn note(&self, reason: Option<FailureReason>, message: &str) -> bool {
        let now = Instant::now();
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { kept, warned } = &mut *inner;
        let full = kept.len() == KEPT;
        let new = match kept.iter_mut().find(|p| p.reason == reason && p.message == message) {
            Some(problem) => {
                problem.count += 1;
                false
            }
            None if full => false,
            None => {
                kept.push(Problem { reason, message: message.to_owned(), count: 1 });
                true
            }
        };
        let log = new || warned.is_none_or(|warned| now.duration_since(warned) >= QUIET);
        if log {
            *warned = Some(now);
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn new_problems_are_logged_and_old_ones_now_and_then() {
        let problems = Problems::default();
        let timeout = Some(FailureReason::Timeout);
        assert!(problems.note(timeout, "late"));
        assert!(!problems.note(timeout, "late"));
        assert!(problems.note(timeout, "later"));
        tokio::time::advance(QUIET).await;
        assert!(problems.note(timeout, "late"));
        let kept: Vec<_> = problems.list().into_iter().map(|p| (p.message, p.count)).collect();
        assert_eq!(kept, [("late".to_owned(), 3), ("later".to_owned(), 1)]);
    }

    #[test]
    fn messages_that_always_differ_do_not_pile_up() {
        let problems = Problems::default();
        for id in 0..100 {
            problems.note(Some(FailureReason::Unreachable), &format!("request {id}"));
        }
        assert_eq!(problems.list().len(), KEPT);
    }
}
