//! What is logged, and how: to standard error.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people, or a journal that knows the time.
    #[default]
    Text,
    /// One JSON object a line, with the time.
    Json,
}

/// Starts to log.
pub(super) fn init(format: LogFormat, level: Level) {
    // What libraries say of their work, only their authors understand.
    let filter = Targets::new()
        .with_default(LevelFilter::WARN.min(level.into()))
        .with_target("upspan", level);
    let to_stderr = fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = match format {
        LogFormat::Json => to_stderr.json().flatten_event(true).boxed(),
        LogFormat::Text => to_stderr.with_ansi(io::stderr().is_terminal()).without_time().boxed(),
    };
    registry().with(layer.with_filter(filter)).init();
}
