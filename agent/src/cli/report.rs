//! `upspan report`: statistics of a recording.

use std::num::NonZeroUsize;

use upspan::correlate::Config;
use upspan::pipeline::{self, Tee};
use upspan::report::text::{self, TextOptions};
use upspan::report::{Report, ReportOptions};
use upspan::source::input::Input;

use super::live_table::LiveTable;
use super::progress::Bar;
use super::recording::ReadArgs;
use super::{Format, Outcome, stdout};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recording made with upcall_cost.py --write-events, also as .gz or .zst; - reads standard
    /// input
    #[arg(value_name = "FILE", required_unless_present = "read_events")]
    file: Option<Input>,

    /// The same, as upcall_cost.py has it
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    read_events: Option<Input>,

    /// Print for people or for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Buckets of each latency histogram
    #[arg(short = 'b', long, value_name = "BUCKETS", default_value = "20", value_parser = buckets)]
    histogram_buckets: NonZeroUsize,

    /// Do not print each event
    #[arg(short, long)]
    quiet: bool,

    /// Print the values of each latency; with --format json, every upcall
    #[arg(long)]
    sets: bool,

    /// Show so many of the slowest upcalls
    #[arg(long, value_name = "N", default_value_t = 5)]
    slowest: usize,

    #[command(flatten)]
    recording: ReadArgs,
}

fn buckets(number: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 10_000;
    match number.parse::<NonZeroUsize>() {
        Ok(buckets) if buckets.get() <= MOST => Ok(buckets),
        _ => Err(format!("give a number from 1 to {MOST}")),
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let Some(input) = args.file.as_ref().or(args.read_events.as_ref()) else {
        anyhow::bail!("name the recording to read");
    };
    let mut recording = args.recording.open(input)?;
    let quiet = args.quiet || args.format == Format::Json;
    let report = Report::new(ReportOptions {
        keep_sets: args.sets && args.format == Format::Json,
        slowest: args.slowest,
    });
    let mut consumer = Tee(report, LiveTable::new(quiet));
    let bar = Bar::new("reading", !quiet);
    let read = pipeline::run(&mut recording, Config::default(), &mut consumer, |progress| {
        bar.show(progress);
        true
    });
    drop(bar);
    let Tee(report, table) = consumer;
    table.finish()?;
    let reviewed = args.recording.review(&recording, input);
    let summary = report.finish(read?, recording.ports());
    reviewed?;
    match args.format {
        Format::Json => stdout::write_json(&summary)?,
        Format::Text => {
            let options = TextOptions {
                buckets: args.histogram_buckets,
                sets: args.sets,
                width: stdout::width(),
            };
            stdout::write(|out| text::write(&summary, out, &options))?;
        }
    }
    Ok(Outcome::Done)
}
