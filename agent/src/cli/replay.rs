//! `upspan replay`: a recording's upcalls as traces.

use std::fmt;
use std::io::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::Serialize;
use tokio::runtime::Runtime;
use upspan::api::{ListenOptions, WhenUnset};
use upspan::correlate::Config;
use upspan::export::{BatchLimits, ExportConfig, ExportOptions, FileOutput, Totals};
use upspan::pipeline::{self, Consumer};
use upspan::replay::{Destination, Outlet, OutletTotals, Pace, Speed, Stop, Times};
use upspan::source::input::Input;
use upspan::source::recording::Recording;
use upspan::trace::TimeAnchor;

use super::api;
use super::progress::Bar;
use super::recording::{ReadArgs, is_same_file};
use super::session::{self, Ended};
use super::stderr::say;
use super::traces::TraceArgs;
use super::{Format, Outcome, stdout};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Recording made with upcall_cost.py --write-events, also as .gz or .zst; - reads standard
    /// input
    #[arg(value_name = "FILE")]
    file: Input,

    /// Write OTLP JSON lines to FILE, or to standard output if it is -, instead of sending them;
    /// with --endpoint, do both
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the totals for people or for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// No progress bar
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    time: TimeArgs,

    #[command(flatten)]
    traces: TraceArgs,

    #[command(flatten)]
    recording: ReadArgs,

    #[command(flatten)]
    export: ExportOptions,

    #[command(flatten)]
    api: ListenOptions,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Time")]
struct TimeArgs {
    /// What the recording's times become
    #[arg(long, value_enum, default_value_t)]
    timestamps: Timestamps,

    /// max, or a factor of real time such as 1 or 0.5
    #[arg(long, value_name = "SPEED", default_value = "max")]
    speed: Speed,

    /// Start over at the end: until interrupted, or so many times in all
    #[arg(long = "loop", value_name = "TIMES", num_args = 0..=1, require_equals = true)]
    times: Option<Option<NonZeroU64>>,
}

/// What the recording's times, which count from the host's boot, become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Timestamps {
    /// The recording ends now; paced, or read from a pipe, it begins now.
    #[default]
    Shifted,
    /// When it was recorded, where the recording has clocks; otherwise as if the host had booted
    /// at the start of 1970.
    Original,
}

/// What a replay did, as it is printed.
#[derive(Debug, Serialize)]
struct Replayed {
    /// Not known if the replay was interrupted while it waited for input.
    #[serde(flatten)]
    read: Option<Read>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<Delivered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Totals>,
}

#[derive(Debug, Serialize)]
struct Delivered {
    url: String,
    #[serde(flatten)]
    totals: Totals,
}

/// What was read, and what became of it.
#[derive(Clone, Copy, Debug, Serialize)]
struct Read {
    #[serde(flatten)]
    upcalls: OutletTotals,
    malformed_lines: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    if args.time.times.is_some() && args.file == Input::Stdin {
        bail!("standard input cannot be read twice: --loop needs a file");
    }
    // Before anything is connected to: a recording that cannot be read is the likeliest mistake.
    let first = args.recording.open(&args.file)?;
    let api = args.api.resolve(WhenUnset::Off)?;
    let config = match &args.export.endpoint {
        None if args.output.is_some() || api.is_some() => None,
        _ => Some(ExportConfig::resolve(&args.export, &session::variable)?.context(
            "OTEL_SDK_DISABLED is true, so nothing would be sent: unset it, or name --endpoint, \
             --output or --api",
        )?),
    };
    let limits = config.as_ref().map_or_else(BatchLimits::default, ExportConfig::batch);
    let tracer = args.traces.tracer()?;
    let file = match &args.output {
        Some(path) if is_same_file(&args.file, path) => {
            bail!("{} is the recording itself: name another file for --output", args.file)
        }
        Some(path) => Some(FileOutput::create(path, session::envelope()?)?),
        None => None,
    };

    let written = file.as_ref().map(FileOutput::account);
    let runtime = Runtime::new()?;
    let (api, witness) = runtime.block_on(api::start(api, true))?.unzip();
    let stop = Stop::default();
    let feed = {
        let (args, stop) = (args.clone(), stop.clone());
        move |otlp| {
            let destination = Destination { otlp, file, ..Destination::default() };
            let pace = Pace::new(args.time.speed, stop);
            let filter = args.traces.filter();
            let outlet = Outlet::new(destination, tracer, filter, limits, pace);
            feed(&args, first, outlet.witnessed(witness))
        }
    };
    let export = match &config {
        Some(config) => Some((config, session::envelope()?)),
        None => None,
    };
    let Ended { fed, export, interrupted } =
        runtime.block_on(session::run(export, stop, session::DRAIN, feed))?;
    if let Some(api) = api {
        runtime.block_on(api.shutdown());
    }

    session::warn(export.as_ref().map_or(&[], |export| &export.problems));
    let output = written.map(|account| account.totals());
    let endpoint = config.zip(export).map(|(config, export)| Delivered {
        url: config.endpoint().to_string(),
        totals: export.totals,
    });
    let lossless = endpoint.as_ref().is_none_or(|delivered| delivered.totals.is_lossless())
        && output.as_ref().is_none_or(Totals::is_lossless);
    let (read, outcome) = fed.map_or((None, Ok(())), |(read, outcome)| (Some(read), outcome));
    print(args, &Replayed { read, endpoint, output })?;
    match outcome {
        // Nobody reads the traces any more, who is not there to read why, either.
        Err(error) if stdout::is_closed(&error) => {}
        outcome => outcome?,
    }
    Ok(match (interrupted, lossless) {
        (true, _) => Outcome::Interrupted,
        (false, true) => Outcome::Done,
        (false, false) => Outcome::NotDelivered,
    })
}

/// Reads the recording, as often as wanted, and feeds its upcalls to the destination.
fn feed(args: &Args, first: Recording, mut outlet: Outlet) -> (Read, anyhow::Result<()>) {
    let mut malformed_lines = 0;
    let mut outcome = Ok(());
    let mut reviewed = false;
    let mut next = Some(first);
    let mut times = match args.time.times {
        None => Some(1),
        Some(times) => times.map(NonZeroU64::get),
    };
    while let Some(mut recording) = next.take() {
        outlet.restart(args.time.meaning(&recording));
        let before = outlet.totals().upcalls;
        let bar = Bar::new("replaying", args.quiet);
        let read = pipeline::run(&mut recording, Config::default(), &mut outlet, |progress| {
            bar.show(progress);
            true
        });
        drop(bar);
        outcome = read.map(|_| ()).map_err(anyhow::Error::from);
        // The second time would say the same; of what was not read, nothing can be said.
        if !outlet.is_closed() && !std::mem::replace(&mut reviewed, true) {
            let review = args.recording.review(&recording, &args.file);
            outcome = outcome.and(review);
        }
        malformed_lines += recording.counts().malformed();
        times = times.map(|times| times - 1);
        // A recording without upcalls, or a pipe that was read, would start over without effect.
        let again = times != Some(0) && !outlet.is_closed() && outlet.totals().upcalls > before;
        // Both would have a decompressor, of some megabytes.
        drop(recording);
        if again && outcome.is_ok() {
            match args.recording.open(&args.file) {
                Ok(recording) => next = Some(recording),
                Err(error) => outcome = Err(error),
            }
        }
    }
    let (upcalls, failure) = outlet.finish();
    if let Some(failure) = failure {
        outcome = outcome.and(Err(failure.into()));
    }
    (Read { upcalls, malformed_lines }, outcome)
}

impl TimeArgs {
    /// What the recording's times mean.
    fn meaning(&self, recording: &Recording) -> Times {
        match (self.timestamps, self.speed, recording.last_timestamp()) {
            (Timestamps::Original, ..) => Times::Recorded,
            (Timestamps::Shifted, Speed::Max, Some(last)) => {
                Times::Anchored(TimeAnchor::at(last, SystemTime::now()))
            }
            (Timestamps::Shifted, ..) => Times::BeginNow,
        }
    }
}

/// Prints the totals: to standard error if the traces themselves go to standard output.
fn print(args: &Args, replayed: &Replayed) -> anyhow::Result<()> {
    let traces_on_stdout = args.output.as_ref().is_some_and(|path| path.as_os_str() == "-");
    match (args.format, traces_on_stdout) {
        (Format::Json, false) => stdout::write_json(replayed)?,
        (Format::Json, true) => say(format_args!("{}", serde_json::to_string(replayed)?)),
        (Format::Text, false) => stdout::write(|out| write!(out, "{replayed}"))?,
        (Format::Text, true) => say(format_args!("{}", replayed.to_string().trim_end())),
    }
    Ok(())
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.read {
            Some(read) => writeln!(f, "{read}")?,
            None => writeln!(f, "interrupted while it waited for input; a batch begun is lost")?,
        }
        if let Some(Delivered { url, totals }) = &self.endpoint {
            writeln!(f, "{url}: {totals}")?;
        }
        if let Some(totals) = &self.output {
            writeln!(f, "output: {totals}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutletTotals { upcalls, filtered, not_sampled, traces, spans } = self.upcalls;
        write!(f, "{upcalls} upcalls became {traces} traces of {spans} spans")?;
        if filtered + not_sampled > 0 {
            write!(f, " ({filtered} filtered out, {not_sampled} not sampled)")?;
        }
        if upcalls > 0 && filtered == upcalls {
            write!(f, "\nno upcall passed the filter: upspan report shows ports and threads")?;
        }
        Ok(())
    }
}
