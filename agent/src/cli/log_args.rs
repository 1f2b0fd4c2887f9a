//! Flags that say what `upspan run` logs.

use clap::ValueEnum;
use tracing::Level;

use super::log::{self, LogFormat};

/// How to log.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArgs {
    /// How to log, to standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    log_format: LogFormat,

    /// Least important messages that are logged
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    log_level: LogLevel,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogArgs {
    /// Starts to log.
    pub(super) fn init(self) {
        let level = match self.log_level {
            LogLevel::Error => Level::ERROR,
            LogLevel::Warn => Level::WARN,
            LogLevel::Info => Level::INFO,
            LogLevel::Debug => Level::DEBUG,
            LogLevel::Trace => Level::TRACE,
        };
        log::init(self.log_format, level);
    }
}
