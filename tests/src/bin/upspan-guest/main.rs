//! Tries `upspan` on a real Open vSwitch, inside of a VM that has one: makes a network, sends
//! traffic of every kind, and judges what the agent makes of it. As root; it changes the machine.

mod agent;
mod capture;
mod command;
mod found;
mod mark;
mod namespace;
mod network;
mod report;
mod scenarios;
mod traces;
mod traffic;
mod truth;
mod vswitchd;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use report::Report;
use scenarios::Scenario;

/// Tries upspan on the Open vSwitch of this machine, which should be a VM.
#[derive(Debug, Parser)]
struct Cli {
    /// The program to try
    #[arg(long)]
    upspan: PathBuf,

    /// What to try [default: everything]
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut report = Report::default();
    report.begin("network");
    let network = network::set_up();
    report.check("set up", network.is_ok(), network.as_ref().err().map_or_else(String::new, |error| format!("{error:#}")));
    if network.is_ok() {
        let all = Scenario::value_variants();
        let chosen = if cli.scenario.is_empty() { all } else { &cli.scenario };
        chosen.iter().for_each(|scenario| scenario.run(&cli.upspan, &mut report));
    }
    if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
