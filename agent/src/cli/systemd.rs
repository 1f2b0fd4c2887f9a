//! What the agent tells systemd (sd_notify(3)), where that has started it.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::warn;

/// Tells it one thing.
pub(super) fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!("cannot notify systemd: {error}");
    }
}

/// Tells systemd that the agent still works, if it wants to know (WatchdogSec=).
#[derive(Debug)]
pub(super) struct Watchdog {
    interval: Duration,
    fed: Instant,
}

impl Watchdog {
    /// `None` if nobody wants to know.
    pub(super) fn of_systemd() -> Option<Self> {
        // Twice as often as wanted, as sd_watchdog_enabled(3) recommends.
        let interval = sd_notify::watchdog_enabled()? / 2;
        Some(Self { interval, fed: Instant::now() })
    }

    /// Says it, if it is time to. Called wherever a stuck agent would not get to.
    pub(super) fn feed(&mut self) {
        if self.fed.elapsed() >= self.interval {
            self.fed = Instant::now();
            tell(NotifyState::Watchdog);
        }
    }
}
