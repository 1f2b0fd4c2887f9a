//! Events per second of the correlator alone, by one thread.
//!
//! Events come to it in stretches that were decoded beforehand, outside of the time measured: as
//! from a source's buffer, they are in the cache when they are pushed. Otherwise a long run would
//! show what the memory holding the input costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use upspan::correlate::{Config, Correlator};
use upspan::event::{Event, EventBody, FlowKeyBytes, Packet};
use upspan::ports::{DatapathId, Ports};
use upspan::source::Record;
use upspan::source::input::Input;
use upspan::source::recording::{Options, Recording};
use upspan::upcall::{FailedUpcall, Sink, Unmatched, Upcall};
use upspan_tests::{fixtures, pvp};

/// Events that are decoded at a time.
const STRETCH: usize = 1024;

/// Counts what it is given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counter {
    upcalls: u64,
    complete: u64,
    unmatched: u64,
}

impl Sink for Counter {
    fn upcall(&mut self, upcall: &Upcall<'_>) {
        self.upcalls += 1;
        self.complete += u64::from(upcall.is_complete());
    }

    fn failed(&mut self, _: &FailedUpcall<'_>) {}

    fn unmatched(&mut self, unmatched: &Unmatched) {
        black_box(unmatched.reason);
        self.unmatched += 1;
    }
}

/// Correlates one recording.
struct Run {
    correlator: Correlator,
    counter: Counter,
    took: Duration,
}

impl Run {
    fn start() -> Self {
        let start = Instant::now();
        let correlator = Correlator::new(Config::default());
        Self { correlator, counter: Counter::default(), took: start.elapsed() }
    }

    fn push(&mut self, events: &[Event<'_>]) {
        let start = Instant::now();
        for event in events {
            self.correlator.push(event, &mut self.counter);
        }
        self.took += start.elapsed();
    }

    fn finish(mut self) -> (Duration, Counter) {
        let start = Instant::now();
        self.correlator.finish(&mut self.counter);
        (self.took + start.elapsed(), self.counter)
    }
}

/// The usable events of a recording, for good.
fn read(fixture: &str) -> Vec<Event<'static>> {
    let path = fixtures::path(&format!("{fixture}.events.zst"));
    let mut recording =
        Recording::open(&Input::from(&*path), Options::default()).expect("the fixture is there");
    let mut events = Vec::new();
    while let Some(record) = recording.next().expect("the fixture is whole") {
        if let Record::Event(event) = record {
            events.push(owned(event));
        }
    }
    events
}

fn owned(event: Event<'_>) -> Event<'static> {
    let keep = |bytes: &[u8]| -> &'static [u8] { bytes.to_vec().leak() };
    let kept = |packet: Packet<'_>| Packet { len: packet.len, bytes: keep(packet.bytes) };
    let body = match event.body {
        EventBody::DpUpcall { upcall_type, datapath, port, packet, linear_len } => {
            let packet = kept(packet);
            EventBody::DpUpcall { upcall_type, datapath, port, packet, linear_len }
        }
        EventBody::RecvUpcall { upcall_type, datapath, in_port, packet, key } => {
            EventBody::RecvUpcall {
                upcall_type,
                datapath,
                in_port,
                packet: kept(packet),
                key: FlowKeyBytes { len: key.len, bytes: keep(key.bytes) },
            }
        }
        EventBody::FlowExecute { packet } => EventBody::FlowExecute { packet: kept(packet) },
        EventBody::FlowPut => EventBody::FlowPut,
        EventBody::PacketExecute => EventBody::PacketExecute,
    };
    Event { head: event.head, body }
}

fn correlate_pvp(count: usize, datapath: DatapathId) -> (Duration, Counter) {
    let mut run = Run::start();
    let mut events = pvp::events(count);
    loop {
        let stretch: Vec<_> = events.by_ref().take(STRETCH).collect();
        if stretch.is_empty() {
            return run.finish();
        }
        run.push(&stretch.iter().map(|event| event.event(datapath)).collect::<Vec<_>>());
    }
}

fn correlate_all(events: &[Event<'_>]) -> (Duration, Counter) {
    let mut run = Run::start();
    events.chunks(STRETCH).for_each(|stretch| run.push(stretch));
    run.finish()
}

fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    events: usize,
    mut correlate: impl FnMut() -> (Duration, Counter),
) {
    group.throughput(Throughput::Elements(events as u64));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| correlate().0).sum());
    });
}

fn correlate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("correlate");
    for fixture in ["medium-10686", "mix-4319"] {
        let events = read(fixture);
        let id = BenchmarkId::from_parameter(fixture);
        measure(&mut group, id, events.len(), || correlate_all(&events));
    }

    let datapath = Ports::default().datapath(b"ovs-system").expect("the table is empty");
    let fixture = read("pvp-10k");
    assert_eq!(
        correlate_pvp(fixture.len(), datapath).1,
        correlate_all(&fixture).1,
        "what is generated must cost what the fixture does"
    );
    for events in [10_000, 100_000, 1_000_000] {
        if events == 1_000_000 {
            group.sample_size(10);
        }
        let id = BenchmarkId::new("pvp", events);
        measure(&mut group, id, events, || correlate_pvp(events, datapath));
    }
    group.finish();
}

/// What an event costs in a long flood, against a short one: in pairs one after the other, as the
/// machine's speed varies more than what is to be seen.
fn growth(_: &mut Criterion) {
    const PAIRS: usize = 15;
    const SHORT: usize = 10_000;
    const LONG: usize = 1_000_000;

    let datapath = Ports::default().datapath(b"ovs-system").expect("the table is empty");
    let cost = |events, times: usize| {
        let took: Duration = (0..times).map(|_| correlate_pvp(events, datapath).0).sum();
        took.as_secs_f64() * 1e9 / (events * times) as f64
    };
    let mut pairs: Vec<_> =
        (0..PAIRS).map(|_| (cost(SHORT, LONG / SHORT), cost(LONG, 1))).collect();
    pairs.sort_by(|(short, long), (other_short, other_long)| {
        (long / short).total_cmp(&(other_long / other_short))
    });
    let (short, long) = pairs[PAIRS / 2];
    println!(
        "correlate/pvp: {long:.1} ns an event at {LONG} events, {short:.1} ns at {SHORT}: \
         {:.2} times (median of {PAIRS} pairs)",
        long / short
    );
}

criterion_group!(benches, correlate, growth);
criterion_main!(benches);
