//! Progress on the terminal, for long work.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use upspan::source::input::Progress;

/// A bar on standard error; nothing where that is no terminal.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar for this work, hidden if `quiet`.
    pub(super) fn new(what: &str, quiet: bool) -> Self {
        if quiet {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::no_length().with_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// How far it is.
    pub(super) fn show(&self, progress: Progress) {
        const KNOWN: &str =
            "{msg} [{bar:30}] {percent}% {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        const UNKNOWN: &str = "{msg} {spinner} {bytes} {bytes_per_sec}";
        if self.0.length() != progress.total || self.0.position() == 0 {
            let template = if progress.total.is_some() { KNOWN } else { UNKNOWN };
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.0.set_style(style);
            }
            if let Some(total) = progress.total {
                self.0.set_length(total);
            }
        }
        self.0.set_position(progress.read);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
