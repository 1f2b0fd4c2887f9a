//! `upspan run`: the agent.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{ArgMatches, Args as _, Command, CommandFactory, FromArgMatches};
use sd_notify::NotifyState;
use tokio::runtime::Runtime;
use tracing::info;
use upspan::api::{ListenOptions, WhenUnset};
use upspan::correlate::Config;
use upspan::event::MonotonicNs;
use upspan::export::{BatchLimits, ExportConfig, ExportOptions, FileOutput, SpanSender, Totals};
use upspan::pipeline::Flow;
use upspan::ports::Ports;
use upspan::replay::{Destination, Outlet, OutletTotals, Pace, Speed, Stop, Times, WhenFull};
use upspan::report::EventCounts;
use upspan::source::live::{Live, Taken, clock};

use super::api;
use super::app_traces::{AppTraceArgs, Receiving};
use super::live::{self, CaptureArgs, Correlating, Handler, Wanted};
use super::log_args::LogArgs;
use super::session::{self, Ended};
use super::settings::Settings;
use super::systemd::{self, Watchdog};
use super::traces::TraceArgs;
use super::{Cli, Outcome, stdout};

/// Longest wait of a span for its batch to fill, unless somebody says otherwise: people wait for
/// what they have just caused.
const BATCH_DELAY: Duration = Duration::from_millis(250);

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Write OTLP JSON lines to FILE, or to standard output if it is -, instead of sending them;
    /// with --endpoint, do both
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Read settings from this YAML file: long names of flags without --, as in
    /// `packet-size: 256`. Flags win over variables, and variables over the file
    /// [env: UPSPAN_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check the settings, and do nothing
    #[arg(long)]
    check: bool,

    /// How long it may take in the end to deliver what there is
    #[arg(long, value_name = "DURATION", default_value = "5s",
          value_parser = humantime::parse_duration)]
    drain_timeout: Duration,

    #[command(flatten)]
    capture: CaptureArgs,

    #[command(flatten)]
    traces: TraceArgs,

    #[command(flatten)]
    app_traces: AppTraceArgs,

    #[command(flatten)]
    export: ExportOptions,

    #[command(flatten)]
    api: ListenOptions,

    #[command(flatten)]
    pub(super) log: LogArgs,

    /// What of this comes from variables and the file.
    #[arg(skip)]
    settings: Settings,
}

impl Args {
    /// The settings of a command line, of which `given` was parsed, with those that come from
    /// variables and the file.
    ///
    /// # Errors
    ///
    /// As [`Settings::gather`].
    pub(super) fn complete(
        mut arguments: Vec<OsString>,
        given: &ArgMatches,
    ) -> anyhow::Result<Self> {
        let command = Self::augment_args(Command::new("run"));
        let settings = Settings::gather(&command, given, session::variable)?;
        // Behind `upspan run`, whose own arguments they do not repeat.
        arguments.extend(settings.arguments());
        let matches = Cli::command().try_get_matches_from(arguments)?;
        let given = matches.subcommand_matches("run").unwrap_or(given);
        Ok(Self { settings, ..Self::from_arg_matches(given)? })
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let export = export(args)?;
    let receiver =
        args.app_traces.resolve(export.is_some()).map_err(|error| args.settings.name(error))?;
    let tracer = args.traces.tracer()?;
    let envelope = session::envelope()?;
    let api = args.api.resolve(WhenUnset::Socket).map_err(|error| args.settings.name(error))?;
    if args.check {
        stdout::write(|out| writeln!(out, "the settings are valid"))?;
        return Ok(Outcome::Done);
    }
    let listening = receiver.map(|config| config.listen()).transpose()?;
    let live = args.capture.start()?;
    let file = match &args.output {
        Some(path) => Some(FileOutput::create(path, session::envelope()?)?),
        None => None,
    };
    let written = file.as_ref().map(FileOutput::account);
    let limits = export.as_ref().map_or_else(BatchLimits::default, ExportConfig::batch);
    let runtime = Runtime::new()?;
    let api = runtime.block_on(api::start(api, args.api.is_asked_for()))?;
    let (api, witness) = api.unzip();
    match &export {
        Some(export) => info!(endpoint = %export.endpoint(), "capturing"),
        None if args.output.is_some() => info!("capturing into a file"),
        None => info!("capturing for clients of the API alone"),
    }
    let stop = Stop::default();
    let feed = {
        let (args, stop) = (args.clone(), stop.clone());
        move |otlp: Option<SpanSender>| {
            let receiving = args.app_traces.receive(listening, otlp.as_ref())?;
            let destination = Destination { otlp, when_full: WhenFull::Drop, file };
            // The pace of a capture is its own: what stops it must not hold back what it has.
            let pace = Pace::new(Speed::Max, Stop::default());
            let filter = args.traces.filter();
            let outlet = Outlet::new(destination, tracer, filter, limits, pace);
            feed(live, receiving, outlet.witnessed(witness), stop)
        }
    };
    let export = export.as_ref().map(|export| (export, envelope));
    systemd::tell(NotifyState::Ready);
    let ended = session::run(export, stop, args.drain_timeout, feed);
    let Ended { fed, export, .. } = runtime.block_on(ended)?;
    if let Some(api) = api {
        runtime.block_on(api.shutdown());
    }
    session::warn(export.as_ref().map_or(&[], |export| &export.problems));
    let (totals, events) = fed.context("the capture did not end in time")??;
    let (sent, forwarded) = export.map(|export| (export.totals, export.forwarded)).unzip();
    let forwarded = forwarded.filter(|totals| totals.accepted > 0);
    let written = written.map(|account| account.totals());
    log_totals(&totals, &events, [&sent, &forwarded, &written]);
    let lossless =
        [sent, forwarded, written].into_iter().flatten().all(|totals| totals.is_lossless());
    Ok(if lossless { Outcome::Done } else { Outcome::NotDelivered })
}

/// Where to send spans; `None` if they only go to a file, or nowhere.
fn export(args: &Args) -> anyhow::Result<Option<ExportConfig>> {
    if args.output.is_some() && args.export.endpoint.is_none() {
        return Ok(None);
    }
    let mut options = args.export.clone();
    if session::variable("OTEL_BSP_SCHEDULE_DELAY").is_none() {
        options.batch_delay.get_or_insert(BATCH_DELAY);
    }
    let config = ExportConfig::resolve(&options, &session::variable)
        .map_err(|error| args.settings.name(error))?;
    if config.is_none() && !args.api.is_asked_for() {
        bail!(
            "OTEL_SDK_DISABLED is true, so nothing would be sent: unset it, or name --endpoint, \
             --output or --api"
        );
    }
    Ok(config)
}

/// Captures until it is stopped.
fn feed(
    mut live: Live,
    receiving: Option<Receiving>,
    outlet: Outlet,
    stop: Stop,
) -> anyhow::Result<(OutletTotals, EventCounts)> {
    let mut outlet = match &receiving {
        Some(receiving) => outlet.with_joiner(receiving.joiner()),
        None => outlet,
    };
    outlet.restart(Times::Anchored(clock::anchor()));
    let wanted = Wanted { stop, ..Wanted::default() };
    let correlating = Correlating(Flow::new(Config::live(), outlet));
    let mut sending = Sending { correlating, watchdog: Watchdog::of_systemd() };
    let captured = live::capture(&mut live, &wanted, &mut sending);
    systemd::tell(NotifyState::Stopping);
    captured?;
    let (mut outlet, events) = sending.correlating.0.finish(live.ports());
    if let Some(receiving) = receiving {
        receiving.end(&mut outlet);
    }
    let (totals, failure) = outlet.finish();
    failure.map_or(Ok((totals, events)), |failure| Err(failure.into()))
}

/// Sends what was put together.
struct Sending {
    correlating: Correlating<Outlet>,
    watchdog: Option<Watchdog>,
}

impl Handler for Sending {
    fn take(&mut self, taken: Taken<'_>, ports: &Ports) {
        self.correlating.take(taken, ports);
    }

    fn tick(&mut self, now: MonotonicNs, review: bool, ports: &Ports) {
        self.correlating.tick(now, review, ports);
        let outlet = self.correlating.0.consumer_mut();
        if review {
            outlet.set_anchor(clock::anchor());
        }
        outlet.tick();
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.feed();
        }
    }

    fn is_closed(&self) -> bool {
        self.correlating.is_closed()
    }
}

fn log_totals(upcalls: &OutletTotals, events: &EventCounts, ends: [&Option<Totals>; 3]) {
    let OutletTotals { upcalls, filtered, not_sampled, traces, spans } = *upcalls;
    let lost = events.lost_total();
    info!(upcalls, filtered, not_sampled, traces, spans, lost_events = lost, "done");
    for (to, totals) in ["endpoint", "forwarded to the endpoint", "output"].into_iter().zip(ends) {
        if let Some(totals) = totals {
            info!(to, "{totals}");
        }
    }
}
