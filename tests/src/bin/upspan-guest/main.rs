//! Tries `upspan` on a real Open vSwitch, inside of a VM that has one: makes a network, sends
//! traffic of every kind, and judges what the agent makes of it. As root; it changes the machine.

mod agent;
mod capture;
mod command;
mod found;
mod mark;
mod namespace;
mod network;
mod process;
mod report;
mod scenarios;
mod traces;
mod traffic;
mod truth;
mod vswitchd;
mod wait;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use report::Report;
use scenarios::{Place, Scenario};

/// Tries upspan on the Open vSwitch of this machine, which should be a VM.
#[derive(Debug, Parser)]
struct Cli {
    /// The program to try
    #[arg(long)]
    upspan: PathBuf,

    /// Folder for recordings, which is made
    #[arg(long, default_value = "/tmp/upspan-guest")]
    out: PathBuf,

    /// File system with Python (tests/vm/apps/image); without it, no applications are tried
    #[arg(long)]
    root: Option<PathBuf>,

    /// What to try [default: everything]
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut report = Report::new(cli.out.clone());
    let place = Place { upspan: &cli.upspan, out: &cli.out, root: cli.root.as_deref() };
    report.begin("network");
    let ready = fs::create_dir_all(&cli.out).map_err(Into::into).and_then(|()| network::set_up());
    let detail = ready.as_ref().map_or_else(|error| format!("{error:#}"), |()| "done".to_owned());
    report.check("set up", ready.is_ok(), detail);
    if ready.is_ok() {
        let chosen = if cli.scenario.is_empty() { Scenario::all_in(&place) } else { cli.scenario };
        chosen.iter().for_each(|scenario| scenario.run(&place, &mut report));
    }
    if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
