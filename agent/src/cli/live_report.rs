//! `upspan report` without a file: of what happens on this node.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::Runtime;
use upspan::correlate::Config;
use upspan::event::EventKind;
use upspan::pipeline::{Flow, Tee};
use upspan::replay::Stop;
use upspan::report::{Report, ReportOptions, Summary};
use upspan::source::live::Live;
use upspan::source::recording::HandlerFilter;

use super::live::{self, CaptureArgs, Correlating, Wanted};
use super::live_table::LiveTable;
use super::output::FormatArgs;
use super::record::Recorder;
use super::session::{self, Ended};

/// How to capture for a report.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Capture")]
pub(super) struct LiveArgs {
    /// Write what is captured into a recording, too
    #[arg(short, long, value_name = "FILE")]
    write_events: Option<PathBuf>,

    #[command(flatten)]
    format: FormatArgs,

    /// Capture for so long, such as 10s [default: until Ctrl-C]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    #[command(flatten)]
    capture: CaptureArgs,
}

impl LiveArgs {
    /// Captures until it is over, and sums up.
    ///
    /// # Errors
    ///
    /// Nothing can be captured, or the recording cannot be written.
    pub(super) fn report(
        &self,
        options: ReportOptions,
        quiet: bool,
        events: Option<NonZeroU64>,
        handlers: Option<HandlerFilter>,
    ) -> anyhow::Result<Summary> {
        if self.write_events.as_deref() == Some(Path::new("-")) {
            bail!("the report goes to standard output: name a file for --write-events");
        }
        let live = self.capture.start()?;
        let runtime = Runtime::new()?;
        let recorder = match &self.write_events {
            Some(path) => {
                Some(runtime.block_on(Recorder::create(path, self.format, &self.capture))?)
            }
            None => None,
        };
        let stop = Stop::default();
        let wanted = Wanted { stop: stop.clone(), events, duration: self.duration, handlers };
        let feed = move |_| report(live, recorder, &wanted, options, quiet);
        let Ended { fed, .. } = runtime.block_on(session::run(None, stop, session::DRAIN, feed))?;
        fed.context("the capture did not end in time")?
    }
}

/// Captures, on the thread that prints, too.
fn report(
    mut live: Live,
    mut recorder: Option<Recorder>,
    wanted: &Wanted,
    options: ReportOptions,
    quiet: bool,
) -> anyhow::Result<Summary> {
    if let Some(recorder) = &mut recorder {
        recorder.begin(live.ports());
    }
    let consumer = Tee(Report::new(options), LiveTable::new(quiet));
    let mut both = (recorder, Correlating(Flow::new(Config::live(), consumer)));
    let captured = live::capture(&mut live, wanted, &mut both);
    let (recorder, Correlating(flow)) = both;
    recorder.map_or(Ok(()), Recorder::finish)?;
    let (Tee(report, table), mut counts) = flow.finish(live.ports());
    table.finish()?;
    let filtered = captured?.filtered;
    for kind in EventKind::ALL {
        counts.filtered(kind, filtered[kind]);
    }
    Ok(report.finish(counts, live.ports()))
}
