//! Waiting for conditions, never longer than a limit.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Under emulation, everything takes its time.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Looks again and again until there is a value.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("{what} has not come true within {} s", limit.as_secs());
        }
        pause(Duration::from_millis(20));
    }
}

/// Between two looks, or for as long as something is measured.
#[expect(clippy::disallowed_methods, reason = "other programs do not tell when they are done")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
