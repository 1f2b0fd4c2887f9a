//! The pace of a replay.

use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::MonotonicNs;

/// How fast to replay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as the destination takes it.
    #[default]
    Max,
    /// So many times as fast as it was recorded; more than 0.
    Times(f64),
}

/// A speed that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no speed: say max, or a factor above 0 such as 1 or 0.5")]
pub struct SpeedError(String);

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(speed: &str) -> Result<Self, SpeedError> {
        if speed == "max" {
            return Ok(Self::Max);
        }
        match speed.strip_suffix('x').unwrap_or(speed).parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Self::Times(factor)),
            _ => Err(SpeedError(speed.to_owned())),
        }
    }
}

/// Tells a replay to stop, also while it waits for its time.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Stops it.
    pub fn stop(&self) {
        let (stopped, changed) = &*self.0;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, duration: Duration) {
        let (stopped, changed) = &*self.0;
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether it was stopped or the time is up: the caller asks `is_stopped`.
        drop(changed.wait_timeout_while(guard, duration, |stopped| !*stopped));
    }
}

/// Holds a replay back to its speed.
#[derive(Debug)]
pub struct Pace {
    speed: Speed,
    stop: Stop,
    /// When the first event was due, and its time in the recording.
    start: Option<(Instant, MonotonicNs)>,
}

impl Pace {
    /// A pace that is still to begin.
    #[must_use]
    pub const fn new(speed: Speed, stop: Stop) -> Self {
        Self { speed, stop, start: None }
    }

    /// Whether anyone waits at all.
    #[must_use]
    pub fn is_max(&self) -> bool {
        self.speed == Speed::Max
    }

    /// What happened at `ts` is due now, unless something before was.
    pub fn begin(&mut self, ts: MonotonicNs) {
        if !self.is_max() {
            self.start.get_or_insert_with(|| (Instant::now(), ts));
        }
    }

    /// How long it is until what happened at `ts` is due.
    #[must_use]
    pub fn until(&self, ts: MonotonicNs) -> Duration {
        let (Speed::Times(factor), Some((start, first))) = (self.speed, self.start) else {
            return Duration::ZERO;
        };
        let recorded = Duration::from_nanos(u64::try_from(ts.since(first)).unwrap_or(0));
        let due = Duration::try_from_secs_f64(recorded.as_secs_f64() / factor)
            .ok()
            .and_then(|after| start.checked_add(after));
        // A wait longer than the clock can tell is as good as for ever.
        due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()))
    }

    /// Waits for so long, or until the replay is stopped.
    pub fn wait(&self, duration: Duration) {
        self.stop.wait(duration);
    }

    /// Whether the replay is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Is still to begin, as the recording does again.
    pub const fn restart(&mut self) {
        self.start = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2".parse(), Ok(Speed::Times(2.0)));
        assert_eq!("0.5x".parse(), Ok(Speed::Times(0.5)));
        for wrong in ["", "0", "-1", "nan", "inf", "fast"] {
            let error = wrong.parse::<Speed>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("'{wrong}' is no speed")));
        }
    }

    #[test]
    fn waits_at_least_as_long_as_it_was_recorded() {
        let mut pace = Pace::new(Speed::Times(2.0), Stop::default());
        let start = Instant::now();
        pace.begin(MonotonicNs(5_000_000_000));
        pace.begin(MonotonicNs(5_010_000_000));
        pace.wait(pace.until(MonotonicNs(5_020_000_000)));
        assert!(start.elapsed() >= Duration::from_millis(10));
    }

    #[test]
    fn a_stopped_replay_waits_no_more() {
        let stop = Stop::default();
        let mut pace = Pace::new(Speed::Times(1e-9), stop.clone());
        pace.begin(MonotonicNs(0));
        stop.stop();
        pace.wait(pace.until(MonotonicNs(u64::MAX / 4)));
        assert!(stop.is_stopped());
    }
}
