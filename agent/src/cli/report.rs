//! `upspan report`: statistics of a recording, or of what happens on this node.

use std::num::NonZeroUsize;

use upspan::correlate::Config;
use upspan::pipeline::{self, Tee};
use upspan::report::text::{self, TextOptions};
use upspan::report::{Report, ReportOptions, Summary};
use upspan::source::input::Input;

#[cfg(all(feature = "live", target_os = "linux"))]
use super::live_report::LiveArgs;
use super::live_table::LiveTable;
use super::progress::Bar;
use super::recording::ReadArgs;
use super::{Format, Outcome, stdout};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recording made with upspan record or upcall_cost.py --write-events, also as .gz or .zst; -
    /// reads standard input [default: capture on this node, until Ctrl-C]
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[arg(value_name = "FILE", conflicts_with_all = ["write_events", "duration", "CaptureArgs", "FormatArgs"])]
    file: Option<Input>,

    /// Recording made with upspan record or upcall_cost.py --write-events, also as .gz or .zst; -
    /// reads standard input
    #[cfg(not(all(feature = "live", target_os = "linux")))]
    #[arg(value_name = "FILE", required_unless_present = "read_events")]
    file: Option<Input>,

    /// The same, as upcall_cost.py has it
    #[cfg_attr(
        all(feature = "live", target_os = "linux"),
        arg(conflicts_with_all = ["write_events", "duration", "CaptureArgs", "FormatArgs"])
    )]
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

    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(flatten)]
    live: LiveArgs,
}

fn buckets(number: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 10_000;
    match number.parse::<NonZeroUsize>() {
        Ok(buckets) if buckets.get() <= MOST => Ok(buckets),
        _ => Err(format!("give a number from 1 to {MOST}")),
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let summary = match args.file.as_ref().or(args.read_events.as_ref()) {
        Some(input) => args.read(input)?,
        None => args.capture()?,
    };
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

impl Args {
    fn quiet(&self) -> bool {
        self.quiet || self.format == Format::Json
    }

    fn options(&self) -> ReportOptions {
        ReportOptions { keep_sets: self.sets && self.format == Format::Json, slowest: self.slowest }
    }

    /// Sums up a recording.
    fn read(&self, input: &Input) -> anyhow::Result<Summary> {
        let mut recording = self.recording.open(input)?;
        let quiet = self.quiet();
        let mut consumer = Tee(Report::new(self.options()), LiveTable::new(quiet));
        let bar = Bar::new("reading", !quiet);
        let read = pipeline::run(&mut recording, Config::default(), &mut consumer, |progress| {
            bar.show(progress);
            true
        });
        drop(bar);
        let Tee(report, table) = consumer;
        table.finish()?;
        let reviewed = self.recording.review(&recording, input);
        let summary = report.finish(read?, recording.ports());
        reviewed?;
        Ok(summary)
    }

    /// Sums up what is captured on this node.
    #[cfg(all(feature = "live", target_os = "linux"))]
    fn capture(&self) -> anyhow::Result<Summary> {
        let (events, handlers) = (self.recording.events(), self.recording.handlers());
        self.live.report(self.options(), self.quiet(), events, handlers)
    }

    #[cfg(not(all(feature = "live", target_os = "linux")))]
    fn capture(&self) -> anyhow::Result<Summary> {
        anyhow::bail!("name the recording to read")
    }
}
