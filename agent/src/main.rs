//! The command line of upspan.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
