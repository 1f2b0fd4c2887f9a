//! The two clocks of a live capture.

use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

use crate::event::MonotonicNs;
use crate::trace::TimeAnchor;

/// `CLOCK_MONOTONIC` now.
#[must_use]
pub fn now() -> MonotonicNs {
    let now = clock_gettime(ClockId::Monotonic);
    let secs = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    MonotonicNs(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Reads both clocks at once: the wall clock between two readings of the other one, several times,
/// of which the quickest is the most exact.
#[must_use]
pub fn anchor() -> TimeAnchor {
    const READINGS: usize = 5;
    let (before, realtime, apart) = (0..READINGS)
        .map(|_| {
            let (before, realtime) = (now(), SystemTime::now());
            (before, realtime, now().since(before))
        })
        .min_by_key(|&(.., apart)| apart)
        .unwrap_or((now(), SystemTime::now(), 0));
    let middle = MonotonicNs(before.0.saturating_add(apart.unsigned_abs() / 2));
    TimeAnchor::at(middle, realtime)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn the_anchor_gives_the_time_of_day() {
        let anchored = anchor().to_unix_ns(now());
        let direct = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let apart = direct.as_nanos().abs_diff(anchored.into());
        assert!(apart < 10_000_000_000, "{apart} ns");
    }
}
