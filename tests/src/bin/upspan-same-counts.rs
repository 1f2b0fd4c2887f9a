//! Checks that upcall_cost.py counts in recordings what upspan does.

use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;
use clap::Parser;
use upspan_tests::script;

/// Checks that upcall_cost.py counts in recordings what upspan does.
#[derive(Debug, Parser)]
struct Cli {
    /// The program
    #[arg(long)]
    upspan: PathBuf,

    /// Folder with the script, which tests/benches/setup makes
    #[arg(long)]
    venv: PathBuf,

    /// Recording in the script's format
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    for recording in &cli.recordings {
        let ours = script::ours(Command::new(&cli.upspan), recording)?;
        let theirs = script::theirs(&cli.venv, recording)?;
        let shown = recording.display();
        ensure!(ours == theirs, "{shown}: the script counts {theirs:?}, and upspan {ours:?}");
        println!("{shown}: the script counts what upspan does: {ours:?}");
    }
    Ok(())
}
