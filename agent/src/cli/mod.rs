//! The command line: one module per subcommand, and what they share.

mod api;
#[cfg(all(feature = "live", target_os = "linux"))]
mod app_traces;
mod convert;
mod demo;
#[cfg(all(feature = "live", target_os = "linux"))]
mod live;
#[cfg(all(feature = "live", target_os = "linux"))]
mod live_report;
mod live_table;
mod log;
#[cfg(all(feature = "live", target_os = "linux"))]
mod log_args;
mod observe;
mod output;
mod progress;
#[cfg(all(feature = "live", target_os = "linux"))]
mod record;
mod recording;
mod replay;
mod report;
#[cfg(all(feature = "live", target_os = "linux"))]
mod run;
mod session;
#[cfg(all(feature = "live", target_os = "linux"))]
mod settings;
mod stderr;
mod stdout;
#[cfg(all(feature = "live", target_os = "linux"))]
mod systemd;
mod traces;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use log::LogFormat;
use stderr::say;
use tracing::Level;

/// Open vSwitch upcalls as OpenTelemetry traces.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, nothing lost
  1  an error, which is printed; or an output took no more
  2  the command line is wrong
  3  done, but spans were not delivered
  130  interrupted by Ctrl-C or SIGTERM; what was read until then is delivered";

#[derive(Debug, Subcommand)]
enum Command {
    /// Capture the upcalls of this node, and send them as traces to an OTLP backend or a file
    #[cfg(all(feature = "live", target_os = "linux"))]
    Run(Box<run::Args>),
    /// Write what happens on this node into a recording
    #[cfg(all(feature = "live", target_os = "linux"))]
    Record(record::Args),
    /// Send the upcalls of a recording as traces to an OTLP backend or a file
    Replay(Box<replay::Args>),
    /// Print statistics of a recording, as upcall_cost.py does and more
    Report(Box<report::Args>),
    /// Write a recording in another format
    Convert(convert::Args),
    /// Show the upcalls of an upspan that runs, as they come
    Observe(Box<observe::Args>),
    /// Replay a bundled recording, and show its slowest upcalls
    Demo(demo::Args),
}

/// How a command ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    NotDelivered,
    Interrupted,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Parses the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    match parse().and_then(execute) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotDelivered) => ExitCode::from(3),
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        // Whoever reads our output has enough of it, as `head` does.
        Err(error) if stdout::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("upspan: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The command line, with the settings of `upspan run` that come from elsewhere.
fn parse() -> anyhow::Result<Command> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let matches = Cli::command().get_matches_from(&arguments);
    #[cfg(all(feature = "live", target_os = "linux"))]
    if let Some(("run", given)) = matches.subcommand() {
        return Ok(Command::Run(Box::new(run::Args::complete(arguments, given)?)));
    }
    Ok(Cli::from_arg_matches(&matches)?.command)
}

fn execute(command: Command) -> anyhow::Result<Outcome> {
    match &command {
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Run(args) => args.log.init(),
        // Somebody watches these.
        _ => log::init(LogFormat::Text, Level::WARN),
    }
    match command {
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Run(args) => run::run(&args),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Observe(args) => observe::run(&args),
        Command::Demo(args) => demo::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
