//! `upspan observe --tui`: a live view in the terminal.
//!
//! Once a second it asks for statistics of the last minute or so. What is shown follows from the
//! answers and the keys ([`View`]); drawing it ([`draw`]) changes nothing.

mod draw;
mod view;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use upspan::api::client::{Client, ClientError};
use upspan_proto::v1;

use self::view::{Action, Answers, View};
use crate::cli::Outcome;
use crate::cli::session::Interrupts;

/// How often to ask.
const REFRESH: Duration = Duration::from_secs(1);

/// How long to wait for an answer, with the keys dead.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait for a key, before a look at the signals.
const KEY: Duration = Duration::from_millis(200);

/// Ports, threads and slow upcalls to ask for.
const TOP: u32 = 20;

/// Shows it until somebody has seen enough.
pub(super) fn run(
    runtime: &Runtime,
    client: Client,
    filter: v1::UpcallFilter,
) -> anyhow::Result<Outcome> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut interrupts = runtime.block_on(async { Interrupts::listen() })?;
    let stopped = Arc::clone(&stop);
    runtime.spawn(async move {
        interrupts.next().await;
        stopped.store(true, Relaxed);
    });
    // The first answer before the terminal changes: an error is then read where errors are.
    let mut source = Source { runtime, client, filter };
    let mut view = View::default();
    view.update(source.ask(&view)?, Instant::now());
    // Restores the terminal in a panic, too.
    let mut terminal = ratatui::try_init().context("cannot use the terminal")?;
    let outcome = show(&mut terminal, &mut source, &mut view, &stop);
    ratatui::restore();
    outcome.map(|()| Outcome::Done)
}

fn show(
    terminal: &mut DefaultTerminal,
    source: &mut Source<'_>,
    view: &mut View,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let mut asked = Instant::now();
    while !stop.load(Relaxed) {
        terminal.draw(|frame| draw::draw(frame, view)).context("cannot draw")?;
        match next_key(KEY)
            .context("cannot read the keyboard")?
            .map_or(Action::None, |key| view.key(key))
        {
            Action::Quit => break,
            Action::Ask => asked = Instant::now() - REFRESH,
            Action::None => {}
        }
        if asked.elapsed() >= REFRESH && !view.is_paused() {
            asked = Instant::now();
            view.update(source.ask(view)?, asked);
        }
    }
    Ok(())
}

fn next_key(wait: Duration) -> io::Result<Option<event::KeyEvent>> {
    if !event::poll(wait)? {
        return Ok(None);
    }
    match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => Ok(Some(key)),
        // A new size, for example: what follows draws anew.
        _ => Ok(None),
    }
}

/// Where the answers come from.
struct Source<'a> {
    runtime: &'a Runtime,
    client: Client,
    filter: v1::UpcallFilter,
}

impl Source<'_> {
    fn ask(&mut self, view: &View) -> anyhow::Result<Answers> {
        let request = v1::GetStatisticsRequest {
            filter: Some(self.filter.clone()),
            window_ns: view.window_ns(),
            top: TOP,
            slowest: TOP,
        };
        let client = &mut self.client;
        let answers = async {
            let status = client.server_status(v1::ServerStatusRequest {}).await?.into_inner();
            let statistics = client.get_statistics(request).await?.into_inner();
            Ok::<_, ClientError>(Answers { status, statistics })
        };
        let answers = async { timeout(PATIENCE, answers).await };
        Ok(self.runtime.block_on(answers).context("upspan does not answer in time")??)
    }
}
