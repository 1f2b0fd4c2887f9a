//! From the monotonic clock of events to the wall-clock time of spans.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::event::MonotonicNs;

/// One instant on both clocks: `CLOCK_MONOTONIC`, which events carry, and Unix time, which spans
/// need. Every other instant follows from its distance to this one, with all nanoseconds kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeAnchor {
    monotonic: MonotonicNs,
    realtime_unix_ns: u64,
}

impl TimeAnchor {
    /// Says that `monotonic` was at `realtime_unix_ns` nanoseconds since the Unix epoch.
    ///
    /// A recording holds no wall-clock time. `new(MonotonicNs(0), offset)` keeps its timestamps,
    /// moved by an offset; `new(last_event, now)` shifts it so that it ends now.
    #[must_use]
    pub const fn new(monotonic: MonotonicNs, realtime_unix_ns: u64) -> Self {
        Self { monotonic, realtime_unix_ns }
    }

    /// As [`TimeAnchor::new`], from the system's clock. Times before 1970 count as 1970, those
    /// after 2554 as the last nanosecond that OTLP can express.
    #[must_use]
    pub fn at(monotonic: MonotonicNs, realtime: SystemTime) -> Self {
        let since_epoch = realtime.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::new(monotonic, u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The instant on the monotonic clock.
    #[must_use]
    pub const fn monotonic(self) -> MonotonicNs {
        self.monotonic
    }

    /// Nanoseconds since the Unix epoch of an event; saturates at the ends of `u64`.
    #[must_use]
    pub const fn to_unix_ns(self, ts: MonotonicNs) -> u64 {
        if ts.0 >= self.monotonic.0 {
            self.realtime_unix_ns.saturating_add(ts.0 - self.monotonic.0)
        } else {
            self.realtime_unix_ns.saturating_sub(self.monotonic.0 - ts.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_nanoseconds_before_and_after_the_anchor() {
        let anchor = TimeAnchor::new(MonotonicNs(1_000), 1_700_000_000_000_000_007);
        assert_eq!(anchor.to_unix_ns(MonotonicNs(1_000)), 1_700_000_000_000_000_007);
        assert_eq!(anchor.to_unix_ns(MonotonicNs(1_003)), 1_700_000_000_000_000_010);
        assert_eq!(anchor.to_unix_ns(MonotonicNs(1)), 1_699_999_999_999_999_008);
    }

    #[test]
    fn default_takes_monotonic_time_as_it_is() {
        assert_eq!(TimeAnchor::default().to_unix_ns(MonotonicNs(42)), 42);
    }

    #[test]
    fn system_time_is_clamped_to_what_otlp_can_express() {
        let at = |time| TimeAnchor::at(MonotonicNs(0), time).to_unix_ns(MonotonicNs(0));
        assert_eq!(at(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(at(UNIX_EPOCH + Duration::new(3, 5)), 3_000_000_005);
        assert_eq!(at(UNIX_EPOCH + Duration::from_secs(u64::MAX / 1_000_000_000 + 1)), u64::MAX);
    }

    proptest! {
        #[test]
        fn order_is_kept(monotonic: u64, realtime: u64, a: u64, b: u64) {
            let anchor = TimeAnchor::new(MonotonicNs(monotonic), realtime);
            let (early, late) = (a.min(b), a.max(b));
            prop_assert!(
                anchor.to_unix_ns(MonotonicNs(early)) <= anchor.to_unix_ns(MonotonicNs(late))
            );
        }
    }
}
