//! What the commands that capture on this node share.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use upspan::event::{EventKind, MonotonicNs};
use upspan::pipeline::{Consumer, Flow};
use upspan::ports::Ports;
use upspan::replay::Stop;
use upspan::source::live::capture::FromRing;
use upspan::source::live::record::LiveRecord;
use upspan::source::live::{CaptureOptions, Live, LiveError, Taken, clock};

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
}

fn pages(number: &str) -> Result<u32, String> {
    const MOST: u32 = 1 << 18;
    match number.parse::<u32>() {
        Ok(pages) if pages.is_power_of_two() && (16..=MOST).contains(&pages) => Ok(pages),
        _ => Err(format!("give a power of two from 16 to {MOST}")),
    }
}

impl CaptureArgs {
    /// Starts capturing.
    pub(super) fn start(&self) -> Result<Live, LiveError> {
        Live::start(&CaptureOptions {
            pid: self.pid,
            packet_limit: self.packet_size,
            key_limit: self.flow_key_size,
            ring_bytes: self.buffer_page_count * 4096,
        })
    }
}

/// When a capture ends.
#[derive(Clone, Debug)]
pub(super) struct Until {
    /// Somebody said so.
    pub(super) stop: Stop,
    /// After so many events.
    pub(super) events: Option<u64>,
    /// At that time.
    pub(super) time: Option<Instant>,
}

impl Until {
    fn is_over(&self, events: u64) -> bool {
        self.stop.is_stopped()
            || self.events.is_some_and(|most| events >= most)
            || self.time.is_some_and(|time| Instant::now() >= time)
    }
}

/// How often the clocks are measured and losses logged.
const REVIEW: Duration = Duration::from_secs(10);
/// How often ports and processes are looked at.
const FOLLOW: Duration = Duration::from_secs(2);
/// Between two looks into the ring buffer: the shortest while events come, and the longest. When
/// it gets full, the kernel says so earlier.
const WAIT: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

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
    until: &Until,
    handler: &mut impl Handler,
) -> Result<(), LiveError> {
    let (mut events, mut wait) = (0, WAIT.0);
    let (mut followed, mut reviewed) = (Instant::now(), Instant::now());
    let mut lost = Lost::default();
    while !until.is_over(events) && !handler.is_closed() {
        // What happened before this instant is in the ring.
        let now = clock::now();
        let before = events;
        let most = until
            .events
            .map_or(usize::MAX, |most| usize::try_from(most - events).unwrap_or(usize::MAX));
        live.drain(most, |taken, ports| {
            match taken {
                Taken::Record(FromRing::Record(LiveRecord::Event(_)), _) => events += 1,
                Taken::Record(&FromRing::Lost(kind, count), _) => lost.add(kind, count),
                Taken::Record(..) | Taken::Ports => {}
            }
            handler.take(taken, ports);
        })?;
        let review = reviewed.elapsed() >= REVIEW;
        if review {
            reviewed = Instant::now();
            lost.warn();
        }
        handler.tick(now, review, live.ports());
        if followed.elapsed() >= FOLLOW {
            followed = Instant::now();
            live.follow();
        }
        wait = if events > before { WAIT.0 } else { (wait * 2).min(WAIT.1) };
        live.wait(wait);
    }
    lost.warn();
    Ok(())
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

/// Events lost since the last warning.
#[derive(Debug, Default)]
struct Lost {
    count: u64,
    kinds: Vec<EventKind>,
}

impl Lost {
    fn add(&mut self, kind: EventKind, count: u64) {
        self.count += count;
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
    }

    fn warn(&mut self) {
        let Self { count, kinds } = std::mem::take(self);
        if count > 0 {
            let kinds: Vec<_> = kinds.into_iter().map(EventKind::name).collect();
            tracing::warn!(
                lost = count,
                kinds = kinds.join(","),
                "the ring buffer was full and events were lost: raise --buffer-page-count, or \
                 lower --packet-size and --flow-key-size"
            );
        }
    }
}
