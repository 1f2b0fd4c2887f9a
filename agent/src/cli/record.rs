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

#[cfg(test)]
mod tests {
    use upspan::event::{Cpu, EventHead, EventKind, Ordinal, Packet, Tid, UpcallType};
    use upspan::ports::PortDetails;
    use upspan::source::recording::{Header, Item, Options, RecordedFailure, Recording};

    use super::*;

    const DP_UPCALL: RecordedEvent<'static> = RecordedEvent {
        ts: MonotonicNs(7),
        datapath: b"ovs-system",
        port_name: b"p1",
        ..RecordedEvent::of(EventKind::DpUpcall)
    };
    const FAILURE: RecordedFailure = RecordedFailure {
        ts: MonotonicNs(9),
        cpu: Cpu(0),
        tid: Tid(1),
        comm: upspan::event::Comm::EMPTY,
        dp_upcall: MonotonicNs(7),
        errno: 105,
    };

    fn recorder(path: &Path) -> Recorder {
        let output = Output::create(path, FormatArgs::COMPACT, &Header::default()).unwrap();
        Recorder { output, ports: PortChanges::default(), failure: None }
    }

    #[test]
    fn what_is_captured_is_in_the_recording_in_its_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut recorder = recorder(file.path());
        let mut ports = Ports::default();
        let datapath = ports.datapath(b"ovs-system").unwrap();
        ports.set_port(datapath, PortNo(1), b"p1", PortDetails::default());
        recorder.begin(&ports);
        let body = EventBody::DpUpcall {
            upcall_type: UpcallType::Miss,
            datapath,
            port: PortNo(1),
            packet: Packet::default(),
            linear_len: 0,
        };
        let head = EventHead { ordinal: Ordinal(0), ..EventHead::default() };
        let record = Record::Event(Event { head, body });
        let from_ring = FromRing::Record(LiveRecord::Event(DP_UPCALL));
        recorder.take(Taken::Record(&from_ring, record), &ports);
        let failed = FromRing::Record(LiveRecord::Failed(FAILURE));
        recorder.take(Taken::Record(&failed, FAILURE.record()), &ports);
        recorder.take(Taken::Record(&FromRing::Gap, Record::Unreadable), &ports);
        let (kind, count) = (EventKind::OpFlowPut, 3);
        let lost = FromRing::Lost(kind, count);
        recorder.take(Taken::Record(&lost, Record::Lost { kind, count }), &ports);
        ports.set_port(datapath, PortNo(2), b"p2", PortDetails::default());
        recorder.take(Taken::Ports, &ports);
        recorder.tick(MonotonicNs(10), true, &ports);
        recorder.finish().unwrap();

        let mut recording = Recording::open(&file.path().into(), Options::default()).unwrap();
        let mut found = Vec::new();
        while let Some(item) = recording.next_item().unwrap() {
            found.push(match item {
                Item::Header(_) => "header",
                Item::Ports([new]) if new.ports.len() == 1 => "a port",
                Item::Event(RecordedEvent { port: Some(PortNo(1)), .. }) => {
                    "an event with its port"
                }
                Item::Failed(FAILURE) => "the failure",
                Item::Gap => "a gap",
                Item::Lost { kind: EventKind::OpFlowPut, count: 3 } => "losses",
                Item::Anchor(_) => "an anchor",
                other => panic!("{other:?}"),
            });
        }
        let expected = [
            "header",
            "a port",
            "an event with its port",
            "the failure",
            "a gap",
            "losses",
            "a port",
            "an anchor",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_killed_recorder_has_written_can_be_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut recorder = recorder(file.path());
        let ports = Ports::default();
        recorder.begin(&ports);
        let from_ring = FromRing::Record(LiveRecord::Event(DP_UPCALL));
        recorder.take(Taken::Record(&from_ring, Record::Unreadable), &ports);
        let events = || {
            let mut recording = Recording::open(&file.path().into(), Options::default()).unwrap();
            while recording.next().unwrap().is_some() {}
            recording.counts().event_lines()
        };
        recorder.tick(MonotonicNs(900_000_000), false, &ports);
        assert_eq!(events(), 0, "a frame of its own for each event would be too much");
        recorder.tick(MonotonicNs(1_000_000_007), false, &ports);
        assert_eq!(events(), 1);
    }

    #[test]
    fn a_full_disk_ends_the_capture() {
        let mut recorder = recorder(Path::new("/dev/full"));
        assert!(!recorder.is_closed());
        recorder.begin(&Ports::default());
        assert!(recorder.is_closed());
        let error = recorder.finish().unwrap_err().to_string();
        assert!(error.starts_with("cannot write to /dev/full: No space left"), "{error}");
    }
}
