//! `upspan record`: what happens on this node, into a recording.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use upspan::PerKind;
use upspan::event::{Event, EventBody, MonotonicNs};
use upspan::pipeline::Consumer;
use upspan::ports::{PortNo, Ports};
use upspan::replay::Stop;
use upspan::source::Record;
use upspan::source::live::capture::FromRing;
use upspan::source::live::record::LiveRecord;
use upspan::source::live::{Live, Taken, clock, origin};
use upspan::source::recording::{HandlerFilter, PortChanges, RecordedEvent};

use super::Outcome;
use super::live::{self, CaptureArgs, Captured, Handler, Wanted};
use super::live_table::LiveTable;
use super::output::{FormatArgs, Output};
use super::session::{self, Ended};
use super::stderr::say;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// File to write, or to overwrite; - writes standard output, and then nothing else goes there
    #[arg(short, long, value_name = "FILE")]
    write_events: PathBuf,

    #[command(flatten)]
    format: FormatArgs,

    /// Do not print each event
    #[arg(short, long)]
    quiet: bool,

    /// Stop after so many events; 0 goes on until Ctrl-C
    #[arg(short, long, value_name = "EVENTS", default_value_t = 0)]
    stop: u64,

    /// Stop after so long, such as 10s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// Leave out events of other threads, except for dp_upcalls; names with commas between them
    #[arg(long, value_name = "HANDLERS")]
    handler_filter: Option<HandlerFilter>,

    #[command(flatten)]
    capture: CaptureArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let live = args.capture.start()?;
    let runtime = Runtime::new()?;
    // After the start, so that a recording is not emptied for one that cannot be made.
    let recorder =
        runtime.block_on(Recorder::create(&args.write_events, args.format, &args.capture))?;
    let stop = Stop::default();
    let wanted = Wanted {
        stop: stop.clone(),
        events: NonZeroU64::new(args.stop),
        duration: args.duration,
        handlers: args.handler_filter.clone(),
    };
    let quiet = args.quiet || args.write_events == Path::new("-");
    let feed = move |_| record(live, recorder, &wanted, quiet);
    let Ended { fed, .. } = runtime.block_on(session::run(None, stop, session::DRAIN, feed))?;
    let captured = fed.context("the recording did not end in time, and lacks its end")??;
    say(format_args!(
        "upspan: recorded {} events{}",
        captured.events.sum(),
        by_kind(&captured.events)
    ));
    if captured.failed > 0 {
        say(format_args!("upspan: the kernel could not deliver {} upcalls", captured.failed));
    }
    if !captured.lost.is_zero() {
        let (sum, kinds) = (captured.lost.sum(), by_kind(&captured.lost));
        say(format_args!("upspan: {sum} events were lost{kinds}"));
    }
    Ok(Outcome::Done)
}

/// The counts that are not 0, after a colon.
fn by_kind(counts: &PerKind<u64>) -> String {
    let known = counts.iter().filter(|&(_, &count)| count > 0);
    let kinds: Vec<_> = known.map(|(kind, count)| format!("{kind} {count}")).collect();
    if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) }
}

/// Records until it is over. On the thread that prints, too.
fn record(
    mut live: Live,
    mut recorder: Recorder,
    wanted: &Wanted,
    quiet: bool,
) -> anyhow::Result<Captured> {
    recorder.begin(live.ports());
    let mut both = (recorder, Printing(LiveTable::new(quiet)));
    let captured = live::capture(&mut live, wanted, &mut both);
    let (recorder, Printing(table)) = both;
    // Whatever has ended the capture, the recording is to be whole.
    recorder.finish()?;
    table.finish()?;
    Ok(captured?)
}

/// Writes what is captured.
pub(super) struct Recorder {
    output: Output,
    ports: PortChanges,
    failure: Option<anyhow::Error>,
}

impl Recorder {
    /// Creates the recording, with all that can be known of where it comes from.
    ///
    /// # Errors
    ///
    /// The file cannot be made.
    pub(super) async fn create(
        path: &Path,
        format: FormatArgs,
        capture: &CaptureArgs,
    ) -> anyhow::Result<Self> {
        let header = origin::header(&capture.options()).await;
        let output = Output::create(path, format, &header)?;
        Ok(Self { output, ports: PortChanges::default(), failure: None })
    }

    /// Writes the ports that are known when it begins.
    pub(super) fn begin(&mut self, ports: &Ports) {
        let ports = self.ports.take(ports);
        self.try_to(|output| {
            output.write(|writer| {
                writer.ports(&ports)?;
                writer.flush()
            })
        });
    }

    /// Ends the recording.
    ///
    /// # Errors
    ///
    /// It could not be written as a whole.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.failure.map_or_else(|| self.output.finish(), Err)
    }

    fn try_to(&mut self, write: impl FnOnce(&mut Output) -> anyhow::Result<()>) {
        if self.failure.is_none() {
            self.failure = write(&mut self.output).err();
        }
    }
}

/// The port that was looked up for a `dp_upcall`, which has its name alone.
const fn port(record: &Record<'_>) -> Option<PortNo> {
    match record {
        Record::Event(Event { body: EventBody::DpUpcall { port, .. }, .. }) => Some(*port),
        _ => None,
    }
}

/// Prints the events of a capture.
struct Printing(LiveTable);

impl Handler for Printing {
    fn take(&mut self, taken: Taken<'_>, ports: &Ports) {
        if let Taken::Record(_, Record::Event(event)) = taken {
            self.0.event(&event, ports);
        }
    }

    fn tick(&mut self, _: MonotonicNs, _: bool, _: &Ports) {
        self.0.settled();
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Handler for Recorder {
    fn take(&mut self, taken: Taken<'_>, ports: &Ports) {
        match taken {
            Taken::Ports => {
                let ports = self.ports.take(ports);
                self.try_to(|output| output.write(|writer| writer.ports(&ports)));
            }
            Taken::Record(from_ring, record) => self.try_to(|output| {
                output.write(|writer| match from_ring {
                    FromRing::Record(LiveRecord::Event(event)) => {
                        let port = port(&record).or(event.port);
                        writer.event(&RecordedEvent { port, ..*event })
                    }
                    FromRing::Record(LiveRecord::Failed(failure)) => writer.failed(failure),
                    FromRing::Gap => writer.gap(),
                    &FromRing::Lost(kind, count) => writer.lost(kind, count),
                })
            }),
        }
    }

    fn tick(&mut self, now: MonotonicNs, review: bool, _: &Ports) {
        self.try_to(|output| {
            output.write(|writer| {
                if review {
                    writer.anchor(clock::anchor().into())?;
                }
                writer.flush_due(now)
            })
        });
    }

    fn is_closed(&self) -> bool {
        self.failure.is_some()
    }
}
