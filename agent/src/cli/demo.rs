//! `upspan demo`: the whole way, from a bundled recording to an OTLP backend.

use std::fmt;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use anyhow::Context;
use tokio::runtime::Runtime;
use upspan::correlate::Config;
use upspan::event::MonotonicNs;
use upspan::export::{ExportConfig, ExportOptions, Received, Receiver, Totals};
use upspan::filter::UpcallFilter;
use upspan::pipeline::{self, Tee};
use upspan::replay::{Destination, Outlet, Pace, Speed, Stop, Times};
use upspan::report::waterfall::Waterfall;
use upspan::report::{Report, ReportOptions};
use upspan::source::recording::{Options, Recording};
use upspan::trace::{TimeAnchor, Tracer, TracerConfig};

use super::session::{self, Ended};
use super::{Outcome, stdout};

/// ARP, ICMP, IPv6, VLAN, VXLAN and Geneve, and HTTP requests, on kernel 6.12 and OVS 3.5.0.
const RECORDING: &[u8] = include_bytes!("../../../tests/fixtures/small-335.events.zst");

/// When it ends.
const LAST_EVENT: MonotonicNs = MonotonicNs(309_737_325_436);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show so many of the slowest upcalls
    #[arg(long, value_name = "N", default_value_t = 3)]
    slowest: usize,

    #[command(flatten)]
    export: ExportOptions,
}

/// What a demonstration shows in the end.
struct Shown {
    slowest: Vec<Waterfall>,
    upcalls: u64,
    endpoint: String,
    sent: Totals,
    received: Option<Received>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    Runtime::new()?.block_on(demonstrate(args))
}

async fn demonstrate(args: &Args) -> anyhow::Result<Outcome> {
    let endpoint_is_set = args.export.endpoint.is_some()
        || ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
            .into_iter()
            .any(|name| session::variable(name).is_some_and(|value| !value.trim().is_empty()));
    let mut export = args.export.clone();
    let receiver = if endpoint_is_set {
        None
    } else {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let receiver = Receiver::bind(loopback, |_| {}).context("cannot listen on loopback")?;
        export.endpoint = Some(receiver.endpoint());
        Some(receiver)
    };
    let config = ExportConfig::resolve(&export, &session::variable)?.context(
        "OTEL_SDK_DISABLED is true, so nothing would be sent: unset it, or name --endpoint",
    )?;
    let (stop, limits, slowest) = (Stop::default(), config.batch(), args.slowest);
    let feed = {
        let stop = stop.clone();
        move |otlp| -> anyhow::Result<_> {
            let mut recording = Recording::from_reader(RECORDING, Options::default())?;
            let destination = Destination { otlp, ..Destination::default() };
            let (tracer, pace) =
                (Tracer::new(TracerConfig::default()), Pace::new(Speed::Max, stop));
            let filter = UpcallFilter::default();
            let mut outlet = Outlet::new(destination, tracer, filter, limits, pace);
            outlet.restart(Times::Anchored(TimeAnchor::at(LAST_EVENT, SystemTime::now())));
            let report = Report::new(ReportOptions { slowest, ..ReportOptions::default() });
            let mut both = Tee(outlet, report);
            let counts = pipeline::run(&mut recording, Config::default(), &mut both, |_| true)?;
            let Tee(outlet, report) = both;
            outlet.finish();
            Ok(report.finish(counts, recording.ports()))
        }
    };
    let envelope = session::envelope()?;
    let Ended { fed, export, interrupted } =
        session::run(Some((&config, envelope)), stop, session::DRAIN, feed).await?;
    let summary = fed.context("the demonstration was interrupted")??;
    let export = export.context("nothing was exported")?;
    session::warn(&export.problems);
    let received = match receiver {
        Some(receiver) => Some(receiver.shutdown().await?),
        None => None,
    };
    let shown = Shown {
        slowest: summary.slowest().to_vec(),
        upcalls: summary.upcalls(),
        endpoint: config.endpoint().to_string(),
        sent: export.totals,
        received,
    };
    stdout::write(|out| write!(out, "{shown}"))?;
    let arrived = shown.received.is_none_or(|received| received.spans == shown.sent.delivered);
    Ok(match (interrupted, shown.sent.is_lossless() && arrived) {
        (true, _) => Outcome::Interrupted,
        (false, true) => Outcome::Done,
        (false, false) => Outcome::NotDelivered,
    })
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slowest, upcalls, endpoint, sent, received } = self;
        let which = match slowest.len() {
            1 => "The slowest upcall".to_owned(),
            number => format!("The slowest {number} upcalls"),
        };
        writeln!(f, "{which} of {upcalls} of a recorded Open vSwitch:\n")?;
        for waterfall in slowest {
            writeln!(f, "{}\n", waterfall.display(stdout::width()))?;
        }
        writeln!(f, "sent to {endpoint}: {sent}")?;
        match received {
            Some(Received { spans, traces, .. }) => writeln!(
                f,
                "received there: {traces} traces of {spans} spans\n\n\
                 To see them in Jaeger or Tempo, name its OTLP/gRPC endpoint:\n  \
                 upspan demo --endpoint http://HOST:4317"
            ),
            None => writeln!(f, "look for the service openvswitch there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use upspan::source::Record;

    use super::*;

    #[test]
    fn the_last_event_is_the_last() {
        let mut recording = Recording::from_reader(RECORDING, Options::default()).unwrap();
        let mut last = MonotonicNs(0);
        while let Some(record) = recording.next().unwrap() {
            if let Record::Event(event) = record {
                last = last.max(event.head.ts);
            }
        }
        assert_eq!(last, LAST_EVENT);
    }
}
