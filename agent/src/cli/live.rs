//! What the commands that capture on this node share.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, Instant};

use upspan::PerKind;
use upspan::event::{EventKind, MonotonicNs};
use upspan::pipeline::{Consumer, Flow};
use upspan::ports::Ports;
use upspan::replay::Stop;
use upspan::source::live::capture::{FromRing, Left};
use upspan::source::live::record::LiveRecord;
use upspan::source::live::{CaptureOptions, Live, LiveError, Name, Taken, UpcallTypes, clock};
use upspan::source::recording::{HandlerFilter, RecordedEvent};

/// How to capture.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Capture")]
pub(super) struct CaptureArgs {
    /// Only this ovs-vswitchd, by process id [default: all of this node]
    #[arg(short, long, value_name = "PID")]
    pid: Option<NonZeroU32>,

    /// Most bytes of a packet to capture
    #[arg(short = 'P', long, value_name = "64-2048", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(64..=2048))]
    packet_size: u32,

    /// Most bytes of a flow key to capture
    #[arg(short = 'f', long, value_name = "64-2048", default_value_t = 512,
          value_parser = clap::value_parser!(u32).range(64..=2048))]
    flow_key_size: u32,

    /// Size of the ring buffer in pages of 4 KiB; a power of two
    #[arg(long, value_name = "PAGES", default_value_t = 1024, value_parser = pages)]
    buffer_page_count: u32,

    /// Only upcalls of this type
    #[arg(long, value_enum, value_name = "TYPE", default_value_t)]
    capture_upcalls: UpcallTypes,

    /// Only dp_upcalls of the datapath with this name
    #[arg(long, value_name = "NAME")]
    capture_datapath: Option<Name>,

    /// Only dp_upcalls of the port with this name. Upcalls of other ports are still read, but lack
    /// the kernel's side
    #[arg(long, value_name = "NAME")]
    capture_port: Option<Name>,
}

fn pages(number: &str) -> Result<u32, String> {
    const MOST: u32 = 1 << 18;
    match number.parse::<u32>() {
        Ok(pages) if pages.is_power_of_two() && (16..=MOST).contains(&pages) => Ok(pages),
        _ => Err(format!("give a power of two from 16 to {MOST}")),
    }
}

impl CaptureArgs {
    /// How to capture.
    pub(super) fn options(&self) -> CaptureOptions {
        CaptureOptions {
            pid: self.pid,
            packet_limit: self.packet_size,
            key_limit: self.flow_key_size,
            ring_bytes: self.buffer_page_count * 4096,
            upcalls: self.capture_upcalls,
            datapath: self.capture_datapath,
            port: self.capture_port,
        }
    }

    /// Starts capturing.
    pub(super) fn start(&self) -> Result<Live, LiveError> {
        Live::start(&self.options())
    }
}

/// What of a capture is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// It ends when somebody says so,
    pub(super) stop: Stop,
    /// after so many events that are wanted,
    pub(super) events: Option<NonZeroU64>,
    /// or after that time.
    pub(super) duration: Option<Duration>,
    /// Leave out what other threads did. `dp_upcall`s happen in any thread and stay.
    pub(super) handlers: Option<HandlerFilter>,
}

impl Wanted {
    fn has(&self, event: &RecordedEvent<'_>) -> bool {
        event.kind == EventKind::DpUpcall
            || self.handlers.as_ref().is_none_or(|handlers| handlers.contains(event.comm))
    }

    /// How many more events are wanted, if there is a limit.
    fn left(&self, taken: u64) -> Option<u64> {
        self.events.map(|most| most.get().saturating_sub(taken))
    }
}

/// What came out of a capture.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Captured {
    /// Events that were wanted.
    pub(super) events: PerKind<u64>,
    /// Events of threads that were not.
    pub(super) filtered: PerKind<u64>,
    /// Events for which the ring buffer had no room.
    pub(super) lost: PerKind<u64>,
    /// Upcalls that the kernel could not deliver.
    pub(super) failed: u64,
}

impl Captured {
    /// Counts what was taken; `false` if it is not wanted.
    fn count(&mut self, taken: Taken<'_>, wanted: &Wanted) -> bool {
        match taken {
            Taken::Record(FromRing::Record(LiveRecord::Event(event)), _) => {
                let is_wanted = wanted.has(event);
                let counts = if is_wanted { &mut self.events } else { &mut self.filtered };
                counts[event.kind] += 1;
                return is_wanted;
            }
            Taken::Record(FromRing::Record(LiveRecord::Failed(_)), _) => self.failed += 1,
            Taken::Record(&FromRing::Lost(kind, count), _) => self.lost[kind] += count,
            Taken::Record(FromRing::Gap, _) | Taken::Ports => {}
        }
        true
    }
}

/// How often the clocks are measured and losses logged.
const REVIEW: Duration = Duration::from_secs(10);
/// How often ports and processes are looked at.
const FOLLOW: Duration = Duration::from_secs(2);
/// Between two looks into the ring buffer: the shortest while events come, and the longest after
/// that. When it gets full, the kernel says so earlier.
const WAIT: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));
/// After so long without events, nothing waits to be put together, and the kernel says when there is
/// one.
const QUIET: Duration = Duration::from_secs(2);
/// Between two looks for anything else then.
const IDLE: Duration = Duration::from_millis(500);

/// Takes what is captured.
pub(super) trait Handler {
    /// What was captured, in order.
    fn take(&mut self, taken: Taken<'_>, ports: &Ports);
    /// Everything from before `now` was taken. `review` says that it is time for what is not to be
    /// done often.
    fn tick(&mut self, now: MonotonicNs, review: bool, ports: &Ports);
    /// Whether it takes no more.
    fn is_closed(&self) -> bool;
}

/// Captures until it is over.
pub(super) fn capture(
    live: &mut Live,
    wanted: &Wanted,
    handler: &mut impl Handler,
) -> Result<Captured, LiveError> {
    let started = Instant::now();
    let mut captured = Captured::default();
    let mut taken_before = 0;
    let (mut wait, mut busy) = (WAIT.0, Instant::now());
    let mut complete = clock::now();
    let (mut followed, mut reviewed) = (Instant::now(), Instant::now());
    let mut warned = PerKind::default();
    loop {
        let taken = captured.events.sum();
        let is_over = wanted.stop.is_stopped()
            || wanted.left(taken) == Some(0)
            || wanted.duration.is_some_and(|duration| started.elapsed() >= duration);
        if is_over || handler.is_closed() {
            break;
        }
        // What happened before this instant is in the ring.
        let now = clock::now();
        let most = wanted.left(taken).and_then(|left| usize::try_from(left).ok());
        let left = live.drain(most.unwrap_or(usize::MAX), |taken, ports| {
            if captured.count(taken, wanted) {
                handler.take(taken, ports);
            }
        })?;
        if left == Left::Nothing {
            complete = now;
        }
        let review = reviewed.elapsed() >= REVIEW;
        if review {
            reviewed = Instant::now();
            warn_of_losses(&captured.lost, &mut warned);
        }
        handler.tick(complete, review, live.ports());
        if followed.elapsed() >= FOLLOW {
            followed = Instant::now();
            live.follow();
        }
        if taken > taken_before {
            (wait, busy) = (WAIT.0, Instant::now());
        } else {
            wait = (wait * 2).min(WAIT.1);
        }
        taken_before = taken;
        match left {
            Left::Nothing if busy.elapsed() > QUIET => {
                let left = wanted.duration.map(|wanted| wanted.saturating_sub(started.elapsed()));
                live.wait_for_next(left.map_or(IDLE, |left| left.min(IDLE)));
            }
            Left::Nothing | Left::Unfinished => live.wait(wait),
            Left::Perhaps => {}
        }
    }
    warn_of_losses(&captured.lost, &mut warned);
    Ok(captured)
}

/// Puts upcalls together for a consumer.
pub(super) struct Correlating<C>(pub(super) Flow<C>);

impl<C: Consumer> Handler for Correlating<C> {
    fn take(&mut self, taken: Taken<'_>, ports: &Ports) {
        if let Taken::Record(_, record) = taken {
            self.0.push(&record, ports);
        }
    }

    fn tick(&mut self, now: MonotonicNs, _: bool, ports: &Ports) {
        self.0.settle(now, ports);
    }

    fn is_closed(&self) -> bool {
        self.0.consumer().is_closed()
    }
}

impl<H: Handler> Handler for Option<H> {
    fn take(&mut self, taken: Taken<'_>, ports: &Ports) {
        self.iter_mut().for_each(|handler| handler.take(taken, ports));
    }

    fn tick(&mut self, now: MonotonicNs, review: bool, ports: &Ports) {
        self.iter_mut().for_each(|handler| handler.tick(now, review, ports));
    }

    fn is_closed(&self) -> bool {
        self.as_ref().is_some_and(Handler::is_closed)
    }
}

/// Both take everything.
impl<A: Handler, B: Handler> Handler for (A, B) {
    fn take(&mut self, taken: Taken<'_>, ports: &Ports) {
        self.0.take(taken, ports);
        self.1.take(taken, ports);
    }

    fn tick(&mut self, now: MonotonicNs, review: bool, ports: &Ports) {
        self.0.tick(now, review, ports);
        self.1.tick(now, review, ports);
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed() || self.1.is_closed()
    }
}

/// Logs what was lost since the last warning.
fn warn_of_losses(lost: &PerKind<u64>, warned: &mut PerKind<u64>) {
    let kinds: Vec<_> = lost
        .iter()
        .filter(|&(kind, &count)| count > warned[kind])
        .map(|(kind, _)| kind.name())
        .collect();
    if !kinds.is_empty() {
        tracing::warn!(
            lost = lost.sum() - warned.sum(),
            kinds = kinds.join(","),
            "the ring buffer was full and events were lost: raise --buffer-page-count, or lower \
             --packet-size and --flow-key-size"
        );
        *warned = *lost;
    }
}
