//! One export from start to end: the exporter, the thread that feeds it, and an interrupt.

use std::pin::pin;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use upspan::export::{ExportConfig, ExportSummary, Exporter, Problem, SpanSender};
use upspan::replay::Stop;
use upspan::trace::{Envelope, Resource, host_name};

use super::stderr::say;

/// How long an interrupted command may take to deliver what it has, unless somebody says otherwise.
pub(super) const DRAIN: Duration = Duration::from_secs(5);

/// How long the feeding thread may take to end once the exporter takes no more.
const END: Duration = Duration::from_secs(1);

/// An environment variable.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What the spans come from.
pub(super) fn envelope() -> anyhow::Result<Envelope> {
    let resource = Resource::from_env(host_name().as_deref(), variable)?;
    Ok(Envelope::new(&resource))
}

/// Says how often the same went wrong, to standard error. What it was and what to do about it, the
/// exporter has logged when it came first.
pub(super) fn warn(problems: &[Problem]) {
    for problem in problems.iter().filter(|problem| problem.count > 1) {
        say(format_args!("upspan: {} times: {}", problem.count, problem.message));
    }
}

/// How a session ended.
#[derive(Debug)]
pub(super) struct Ended<T> {
    /// What the feeding thread returned; `None` if it was interrupted while it waited for input.
    pub(super) fed: Option<T>,
    /// What the exporter did, if there was one.
    pub(super) export: Option<ExportSummary>,
    /// Somebody pressed Ctrl-C, or the system wants the process to end.
    pub(super) interrupted: bool,
}

/// Runs `feed` on a thread of its own until it is done or interrupted, then delivers what is left,
/// for as long as `drain`. A second interrupt gives that up.
pub(super) async fn run<T: Send + 'static>(
    export: Option<(&ExportConfig, Envelope)>,
    stop: Stop,
    drain: Duration,
    feed: impl FnOnce(Option<SpanSender>) -> T + Send + 'static,
) -> anyhow::Result<Ended<T>> {
    let mut interrupts = Interrupts::listen()?;
    let exporter =
        export.map(|(config, envelope)| Exporter::start(config, envelope)).transpose()?;
    let sender = exporter.as_ref().map(Exporter::sender);
    let (done, mut feeding) = oneshot::channel();
    // Not one of the runtime's threads: those are waited for, and a read from a pipe may never end.
    thread::Builder::new().name("replay".to_owned()).spawn(move || done.send(feed(sender)))?;

    let mut fed = tokio::select! {
        fed = &mut feeding => Some(fed),
        () = interrupts.next() => None,
    };
    let mut interrupted = fed.is_none();
    let export = if interrupted {
        stop.stop();
        let mut give_up = pin!(async {
            tokio::select! {
                () = sleep(drain) => {}
                () = interrupts.next() => {}
            }
        });
        // First the thread, so that the exporter gets what is in its hands.
        tokio::select! {
            result = &mut feeding => fed = Some(result),
            () = &mut give_up => {}
        }
        let export = match exporter {
            Some(exporter) if fed.is_some() => Some(exporter.drain(give_up).await),
            Some(exporter) => Some(exporter.shutdown(Duration::ZERO).await),
            None => None,
        };
        if fed.is_none() {
            // It waited for room in the exporter, and finds that closed; or it waits for input.
            fed = timeout(END, feeding).await.ok();
        }
        export
    } else if let Some(exporter) = exporter {
        let give_up = async {
            interrupts.next().await;
            interrupted = true;
            tokio::select! {
                () = sleep(drain) => {}
                () = interrupts.next() => {}
            }
        };
        Some(exporter.drain(give_up).await)
    } else {
        None
    };
    let fed = fed.transpose().context("the thread that reads events has failed")?;
    Ok(Ended { fed, export, interrupted })
}

/// The signals that ask for an end: Ctrl-C, and what `kill` and container engines send.
pub(super) struct Interrupts(Signal, Signal);

impl Interrupts {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self(listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
