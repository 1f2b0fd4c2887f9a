//! One export from start to end: the exporter, the thread that feeds it, and an interrupt.

use std::time::Duration;

use anyhow::Context;
use upspan::export::{ExportConfig, ExportSummary, Exporter, Problem, SpanSender};
use upspan::replay::Stop;
use upspan::trace::{Envelope, Resource, host_name};

/// How long an interrupted replay may take to deliver what it has.
const DRAIN: Duration = Duration::from_secs(5);

/// An environment variable.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What the spans come from.
pub(super) fn envelope() -> anyhow::Result<Envelope> {
    let resource = Resource::from_env(host_name().as_deref(), variable)?;
    Ok(Envelope::new(&resource))
}

/// Says what went wrong on the way out, to standard error.
pub(super) fn warn(problems: &[Problem]) {
    for problem in problems {
        let advice = problem.advice().unwrap_or_default();
        let times =
            if problem.count == 1 { "once".into() } else { format!("{} times", problem.count) };
        eprintln!("upspan: {} ({times}). {advice}", problem.message);
    }
}

/// How a session ended.
#[derive(Debug)]
pub(super) struct Ended<T> {
    /// What the feeding thread returned.
    pub(super) fed: T,
    /// What the exporter did, if there was one.
    pub(super) export: Option<ExportSummary>,
    /// Somebody pressed Ctrl-C.
    pub(super) interrupted: bool,
}

/// Runs `feed` on a thread of its own until it is done or interrupted, then delivers what is left.
pub(super) async fn run<T: Send + 'static>(
    export: Option<(&ExportConfig, Envelope)>,
    stop: Stop,
    feed: impl FnOnce(Option<SpanSender>) -> T + Send + 'static,
) -> anyhow::Result<Ended<T>> {
    let exporter =
        export.map(|(config, envelope)| Exporter::start(config, envelope)).transpose()?;
    let sender = exporter.as_ref().map(Exporter::sender);
    let mut feeding = tokio::task::spawn_blocking(move || feed(sender));
    let (fed, interrupted) = tokio::select! {
        fed = &mut feeding => (Some(fed), false),
        () = interrupt() => (None, true),
    };
    stop.stop();
    let export = match exporter {
        Some(exporter) if interrupted => Some(exporter.shutdown(DRAIN).await),
        Some(exporter) => Some(exporter.drain(interrupt()).await),
        None => None,
    };
    let fed = match fed {
        Some(fed) => fed,
        None => feeding.await,
    };
    Ok(Ended { fed: fed.context("the replay failed")?, export, interrupted })
}

/// Waits for Ctrl-C; for ever where that cannot be told.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
