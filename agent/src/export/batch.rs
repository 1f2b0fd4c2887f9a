//! When a growing batch of spans is cut and sent.

use std::time::Duration;

use thiserror::Error;

/// Limits of a batch: the first one reached cuts it.
///
/// They hold for whole traces: the spans of an upcall are never split over two requests, so a batch
/// is cut before the trace that would exceed a limit, and a trace that exceeds a limit on its own is
/// sent alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    max_spans: usize,
    max_bytes: usize,
    max_delay: Duration,
}

/// A [`BatchLimits`] that could never send anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidBatchLimits {
    /// No span would ever fit.
    #[error("a batch must hold at least one span")]
    NoSpans,
    /// No byte would ever fit.
    #[error("a batch must hold at least one byte")]
    NoBytes,
}

impl BatchLimits {
    /// Spans in a batch unless configured. The specification suggests 512 for in-process SDKs; an
    /// agent that ships hundreds of thousands of spans a second spends four times less on requests
    /// with 2048, and at 250–600 bytes a span such a batch stays well below what servers accept.
    pub const DEFAULT_SPANS: usize = 2048;

    /// Bytes in a batch unless configured. gRPC servers refuse messages above 4 MiB by default
    /// (`grpc.MaxRecvMsgSize`); the rest is room for resource, scope and framing.
    pub const DEFAULT_BYTES: usize = 3 << 20;

    /// Age at which a batch is cut unless configured. The specification says 5 s; one second keeps
    /// a backend's live view lively at no measurable cost.
    pub const DEFAULT_DELAY: Duration = Duration::from_secs(1);

    /// Limits of `max_spans` spans, `max_bytes` encoded bytes and `max_delay` of age.
    ///
    /// # Errors
    /// When no span or no byte would fit.
    pub const fn new(
        max_spans: usize,
        max_bytes: usize,
        max_delay: Duration,
    ) -> Result<Self, InvalidBatchLimits> {
        if max_spans == 0 {
            return Err(InvalidBatchLimits::NoSpans);
        }
        if max_bytes == 0 {
            return Err(InvalidBatchLimits::NoBytes);
        }
        Ok(Self { max_spans, max_bytes, max_delay })
    }

    /// Most spans in a batch.
    #[must_use]
    pub const fn max_spans(&self) -> usize {
        self.max_spans
    }

    /// How long the oldest span of a batch waits at most, so that the owner of the batch knows when
    /// to wake up.
    #[must_use]
    pub const fn max_delay(&self) -> Duration {
        self.max_delay
    }

    /// Whether a batch of `spans` spans, `bytes` encoded bytes and this age is to be sent now.
    #[must_use]
    pub fn should_cut(&self, spans: usize, bytes: usize, age: Duration) -> bool {
        spans > 0 && (spans >= self.max_spans || bytes >= self.max_bytes || age >= self.max_delay)
    }

    /// Whether a trace of `next_spans` and `next_bytes` may join a batch of `spans` and `bytes`. An
    /// empty batch takes any trace, for it cannot be split.
    #[must_use]
    pub const fn fits(
        &self,
        spans: usize,
        bytes: usize,
        next_spans: usize,
        next_bytes: usize,
    ) -> bool {
        spans == 0
            || (spans.saturating_add(next_spans) <= self.max_spans
                && bytes.saturating_add(next_bytes) <= self.max_bytes)
    }
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            max_spans: Self::DEFAULT_SPANS,
            max_bytes: Self::DEFAULT_BYTES,
            max_delay: Self::DEFAULT_DELAY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> BatchLimits {
        BatchLimits::new(10, 100, Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn each_limit_cuts() {
        let limits = limits();
        assert!(!limits.should_cut(9, 99, Duration::from_millis(999)));
        assert!(limits.should_cut(10, 1, Duration::ZERO));
        assert!(limits.should_cut(1, 100, Duration::ZERO));
        assert!(limits.should_cut(1, 1, Duration::from_secs(1)));
    }

    #[test]
    fn an_empty_batch_is_never_sent() {
        assert!(!limits().should_cut(0, 0, Duration::from_secs(9)));
    }

    #[test]
    fn a_trace_joins_only_where_it_fits_whole() {
        let limits = limits();
        assert!(limits.fits(6, 50, 4, 50));
        assert!(!limits.fits(7, 50, 4, 50));
        assert!(!limits.fits(6, 51, 4, 50));
        assert!(!limits.fits(1, 1, usize::MAX, usize::MAX));
        assert!(limits.fits(0, 0, 99, 9999), "an oversize trace goes alone");
    }

    #[test]
    fn limits_that_send_nothing_are_refused() {
        assert_eq!(BatchLimits::new(0, 1, Duration::ZERO), Err(InvalidBatchLimits::NoSpans));
        assert_eq!(BatchLimits::new(1, 0, Duration::ZERO), Err(InvalidBatchLimits::NoBytes));
    }
}
