//! `upspan run`: the agent.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::runtime::Runtime;
use tracing::{info, warn};
use upspan::correlate::Config;
use upspan::event::MonotonicNs;
use upspan::export::{BatchLimits, ExportConfig, ExportOptions, FileOutput, Totals};
use upspan::pipeline::Flow;
use upspan::ports::Ports;
use upspan::replay::{Destination, Outlet, OutletTotals, Pace, Speed, Stop, WhenFull};
use upspan::report::EventCounts;
use upspan::source::live::{Live, Taken, clock};

use super::Outcome;
use super::live::{self, CaptureArgs, Correlating, Handler, Wanted};
use super::session::{self, Ended};
use super::traces::TraceArgs;

/// Longest wait of a span for its batch to fill, unless somebody says otherwise: people wait for
/// what they have just caused.
const BATCH_DELAY: Duration = Duration::from_millis(250);

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Write OTLP JSON lines to FILE, or to standard output if it is -, instead of sending them;
    /// with --endpoint, do both
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Check the settings, and do nothing
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    capture: CaptureArgs,

    #[command(flatten)]
    traces: TraceArgs,

    #[command(flatten)]
    export: ExportOptions,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let export = export(args)?;
    let tracer = args.traces.tracer()?;
    let envelope = session::envelope()?;
    if args.check {
        info!("the settings are valid");
        return Ok(Outcome::Done);
    }
    let live = args.capture.start()?;
    let file = match &args.output {
        Some(path) => Some(FileOutput::create(path, session::envelope()?)?),
        None => None,
    };
    let written = file.as_ref().map(FileOutput::account);
    let limits = export.as_ref().map_or_else(BatchLimits::default, ExportConfig::batch);
    match &export {
        Some(export) => info!(endpoint = %export.endpoint(), "capturing"),
        None => info!("capturing into a file"),
    }
    let stop = Stop::default();
    let feed = {
        let (args, stop) = (args.clone(), stop.clone());
        move |otlp| {
            let destination = Destination { otlp, when_full: WhenFull::Drop, file };
            // The pace of a capture is its own: what stops it must not hold back what it has.
            let pace = Pace::new(Speed::Max, Stop::default());
            let filter = args.traces.filter();
            let outlet = Outlet::new(destination, tracer, filter, limits, pace);
            feed(live, outlet, stop)
        }
    };
    let export = export.as_ref().map(|export| (export, envelope));
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        warn!("cannot tell systemd that the agent is ready: {error}");
    }
    let Ended { fed, export, .. } =
        Runtime::new()?.block_on(session::run(export, stop, session::DRAIN, feed))?;
    session::warn(export.as_ref().map_or(&[], |export| &export.problems));
    let (totals, events) = fed.context("the capture did not end in time")??;
    let sent = export.map(|export| export.totals);
    let written = written.map(|account| account.totals());
    log_totals(&totals, &events, sent.as_ref(), written.as_ref());
    let lossless = [sent, written].into_iter().flatten().all(|totals| totals.is_lossless());
    Ok(if lossless { Outcome::Done } else { Outcome::NotDelivered })
}

/// Where to send spans; `None` if they only go to a file.
fn export(args: &Args) -> anyhow::Result<Option<ExportConfig>> {
    if args.output.is_some() && args.export.endpoint.is_none() {
        return Ok(None);
    }
    let mut options = args.export.clone();
    if session::variable("OTEL_BSP_SCHEDULE_DELAY").is_none() {
        options.batch_delay.get_or_insert(BATCH_DELAY);
    }
    let config = ExportConfig::resolve(&options, &session::variable)?.context(
        "OTEL_SDK_DISABLED is true, so nothing would be sent: unset it, or name --endpoint or \
         --output",
    )?;
    Ok(Some(config))
}

/// Captures until it is stopped.
fn feed(
    mut live: Live,
    mut outlet: Outlet,
    stop: Stop,
) -> anyhow::Result<(OutletTotals, EventCounts)> {
    outlet.restart(Some(clock::anchor()));
    let wanted = Wanted { stop, ..Wanted::default() };
    let mut sending = Sending(Correlating(Flow::new(Config::default(), outlet)));
    live::capture(&mut live, &wanted, &mut sending)?;
    let (outlet, events) = sending.0.0.finish(live.ports());
    let (totals, failure) = outlet.finish();
    failure.map_or(Ok((totals, events)), |failure| Err(failure.into()))
}

/// Sends what was put together.
struct Sending(Correlating<Outlet>);

impl Handler for Sending {
    fn take(&mut self, taken: Taken<'_>, ports: &Ports) {
        self.0.take(taken, ports);
    }

    fn tick(&mut self, now: MonotonicNs, review: bool, ports: &Ports) {
        self.0.tick(now, review, ports);
        let outlet = self.0.0.consumer_mut();
        if review {
            outlet.set_anchor(clock::anchor());
        }
        outlet.tick();
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

fn log_totals(
    upcalls: &OutletTotals,
    events: &EventCounts,
    sent: Option<&Totals>,
    written: Option<&Totals>,
) {
    let OutletTotals { upcalls, filtered, not_sampled, traces, spans } = *upcalls;
    let lost = events.lost_total();
    info!(upcalls, filtered, not_sampled, traces, spans, lost_events = lost, "done");
    for (to, totals) in [("endpoint", sent), ("output", written)] {
        if let Some(totals) = totals {
            info!(to, "{totals}");
        }
    }
}
