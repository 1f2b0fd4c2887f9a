//! The flags of the join.

use std::time::Duration;

use clap::Args;

use super::{Confidence, JoinConfig, SharedIndex};

/// What the command line says of joining upcalls and spans of applications.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Application traces")]
pub struct JoinOptions {
    /// How long an upcall waits for the spans of its connection, which come when they have ended
    #[arg(long, value_name = "DURATION", default_value = "6s",
          value_parser = humantime::parse_duration)]
    pub join_window: Duration,

    /// By how much the clocks of applications and agent may differ
    #[arg(long, value_name = "DURATION", default_value = "5ms",
          value_parser = humantime::parse_duration)]
    pub join_tolerance: Duration,

    /// Memory for upcalls that wait; past it, the oldest goes on early
    #[arg(long, value_name = "BYTES", default_value_t = JoinConfig::DEFAULT_BYTES,
          value_parser = bytes)]
    pub join_bytes: usize,

    /// Least confidence of a link
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Confidence::Medium)]
    pub join_confidence: Confidence,

    /// Memory for the spans of applications; past it, those go that ended first
    #[arg(long, value_name = "BYTES", default_value_t = JoinOptions::DEFAULT_INDEX_BYTES,
          value_parser = bytes)]
    pub span_index_bytes: usize,

    /// Add a span for each linked upcall to the trace of the application
    #[arg(long)]
    pub app_spans: bool,
}

/// Most memory that may be asked for, which shows slips of the finger.
const MOST_BYTES: usize = 1 << 40;

fn bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (1..=MOST_BYTES).contains(&bytes) => Ok(bytes),
        _ => Err(format!("give a number of bytes from 1 to {MOST_BYTES}")),
    }
}

impl JoinOptions {
    /// Memory for the spans of applications unless configured: some 200,000 spans.
    pub const DEFAULT_INDEX_BYTES: usize = 64 << 20;

    /// How long an upcall may be put together before it waits: the timeout of the correlator, and
    /// some time to get there.
    const LATE: Duration = Duration::from_secs(15);

    /// What the options say.
    #[must_use]
    pub const fn config(&self) -> JoinConfig {
        JoinConfig {
            window: self.join_window,
            tolerance: self.join_tolerance,
            max_bytes: self.join_bytes,
            min_confidence: self.join_confidence,
            app_spans: self.app_spans,
        }
    }

    /// An index as the options say, which keeps spans for as long as upcalls may ask for them.
    #[must_use]
    pub fn index(&self) -> SharedIndex {
        let wait = self.join_window.saturating_add(self.join_tolerance);
        SharedIndex::new(self.span_index_bytes, wait.saturating_add(Self::LATE))
    }
}
