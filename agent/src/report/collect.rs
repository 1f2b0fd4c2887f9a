//! Collects from the correlator what a summary is made of.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::counts::{EventCounts, KindCount, Tally};
use super::series::{Latency, LatencyRows};
use super::slowest::Slowest;
use super::stats::Distribution;
use super::summary::{Accounting, ByName, PortSummary, Summary, ThreadSummary, UpcallSet};
use crate::event::{Comm, EventHead, EventKind, Ordinal, Tid};
use crate::phases::PhaseKind;
use crate::ports::{DatapathId, PortNo, Ports};
use crate::upcall::{
    FailedUpcall, MatchMethod, MissingReason, Sink, Unmatched, UnmatchedReason, Upcall,
};

type FastMap<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// What to keep beyond the figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Keep every upcall's events and phases, about 200 bytes each.
    pub keep_sets: bool,
    /// How many of the slowest upcalls to keep for waterfalls.
    pub slowest: usize,
}

/// Collects statistics of upcalls; see [`Report::finish`].
#[derive(Debug)]
pub struct Report {
    latencies: LatencyRows,
    phases: [Vec<i64>; PhaseKind::ALL.len()],
    durations: Vec<i64>,
    ports: FastMap<(DatapathId, Option<PortNo>), Group>,
    threads: Threads,
    matches: BTreeMap<MatchMethod, u64>,
    incomplete: Tally<MissingReason>,
    unmatched: Tally<UnmatchedReason>,
    /// Events of upcalls, without `dp_upcall`s: those can be shared.
    operations: u64,
    sets: Option<Vec<UpcallSet>>,
    slowest: Slowest,
}

/// Upcalls that have something in common.
#[derive(Debug, Default)]
struct Group {
    incomplete: u64,
    durations: Vec<i64>,
}

impl Group {
    fn push(&mut self, duration: i64, complete: bool) {
        self.durations.push(duration);
        self.incomplete += u64::from(!complete);
    }
}

/// Threads in the order of their first event.
#[derive(Debug, Default)]
struct Threads {
    index: FastMap<Tid, usize>,
    threads: Vec<Thread>,
    /// The thread asked for last: events come in runs.
    last: usize,
}

#[derive(Debug)]
struct Thread {
    tid: Tid,
    comm: Comm,
    /// Sizes, with the ordinals that put them in order.
    batches: Vec<(Ordinal, u32)>,
    group: Group,
}

impl Threads {
    fn of(&mut self, head: &EventHead) -> &mut Thread {
        let known = self.threads.get(self.last).is_some_and(|thread| thread.tid == head.tid);
        if !known {
            self.last = *self.index.entry(head.tid).or_insert_with(|| {
                self.threads.push(Thread {
                    tid: head.tid,
                    comm: head.comm,
                    batches: Vec::new(),
                    group: Group::default(),
                });
                self.threads.len() - 1
            });
        }
        &mut self.threads[self.last]
    }
}

impl Report {
    /// An empty report.
    #[must_use]
    pub fn new(options: ReportOptions) -> Self {
        Self {
            latencies: LatencyRows::default(),
            phases: Default::default(),
            durations: Vec::new(),
            ports: FastMap::default(),
            threads: Threads::default(),
            matches: BTreeMap::new(),
            incomplete: Tally::default(),
            unmatched: Tally::default(),
            operations: 0,
            sets: options.keep_sets.then(Vec::new),
            slowest: Slowest::new(options.slowest),
        }
    }

    /// Notes a usable event other than a `dp_upcall`: threads are listed in the order of their
    /// first one, which the upcalls, coming as they complete, do not tell.
    pub fn thread_event(&mut self, head: &EventHead) {
        self.threads.of(head);
    }

    /// Takes the figures. `counts` are those of the source, `ports` has the names of all ports
    /// that the upcalls mention.
    #[must_use]
    pub fn finish(self, counts: EventCounts, ports: &Ports) -> Summary {
        let (latency_us, dp_upcalls) = self.latencies.finish();
        let accounting =
            Accounting::new(&counts, self.operations + dp_upcalls, self.unmatched.total());
        let threads = self.threads.threads;
        let sets = self.sets.map(|mut sets| {
            sets.sort_unstable_by_key(UpcallSet::order);
            sets
        });
        let sums =
            |figure: fn(&KindCount) -> u64| counts.kinds.iter().map(|(_, c)| figure(c)).sum();
        Summary {
            events: sums(|count| count.total),
            usable: sums(|count| count.valid),
            upcalls: self.durations.len() as u64,
            counts: counts.kinds,
            sets,
            batch_sizes: batch_sizes(&threads),
            upcalls_per_thread: upcalls_per_thread(&threads),
            latency_ns: by_name(
                Latency::ALL.map(|latency| (latency.name(), latency_us.get(latency).to_vec())),
            ),
            latency_us,
            upcall: Distribution::of(self.durations),
            phases: by_name(PhaseKind::ALL.map(PhaseKind::name).into_iter().zip(self.phases)),
            per_port: port_summaries(self.ports, ports),
            per_thread: threads.into_iter().filter_map(Thread::summary).collect(),
            matches: self.matches,
            incomplete: self.incomplete,
            unmatched: self.unmatched,
            unusable: counts.unusable,
            malformed_lines: counts.malformed_lines,
            accounting,
            slowest: self.slowest.finish(ports),
        }
    }
}

impl Sink for Report {
    fn upcall(&mut self, upcall: &Upcall<'_>) {
        let duration = signed(upcall.duration_ns());
        let complete = upcall.is_complete();
        self.durations.push(duration);
        for phase in upcall.phases() {
            self.phases[phase.kind as usize].push(signed(phase.duration_ns()));
        }
        self.latencies.push(upcall);
        let port = (upcall.datapath, upcall.port());
        self.ports.entry(port).or_default().push(duration, complete);
        let thread = self.threads.of(&upcall.recv);
        thread.group.push(duration, complete);
        if upcall.batch.index == 0 {
            thread.batches.push((upcall.recv.ordinal, upcall.batch.size));
        }
        if let Some(kernel) = &upcall.kernel {
            *self.matches.entry(kernel.matched).or_default() += 1;
        }
        for (kind, reason) in upcall.missing.iter() {
            self.incomplete.add(kind, reason);
        }
        let operations = EventKind::ALL.into_iter().filter(|&kind| kind != EventKind::DpUpcall);
        self.operations += operations.filter(|&kind| upcall.event(kind).is_some()).count() as u64;
        if let Some(sets) = &mut self.sets {
            sets.push(UpcallSet::of(upcall));
        }
        self.slowest.offer(upcall);
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>) {
        let kind = EventKind::DpUpcall;
        let reason = UnmatchedReason::NotDelivered;
        Sink::unmatched(self, &Unmatched { kind, head: failed.head, reason });
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        self.unmatched.add(unmatched.kind, unmatched.reason);
    }
}

/// Durations are below 292 years, unless a recording is broken.
fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

impl Thread {
    /// `None` for a thread that read no upcall.
    fn summary(self) -> Option<ThreadSummary> {
        let upcalls = self.group.durations.len() as u64;
        (upcalls > 0).then(|| ThreadSummary {
            thread: self.comm.to_str_lossy().into_owned(),
            tid: self.tid,
            upcalls,
            incomplete: self.group.incomplete,
            batches: self.batches.len() as u64,
            upcall: Distribution::of(self.group.durations),
        })
    }
}

fn by_name(series: impl IntoIterator<Item = (&'static str, Vec<i64>)>) -> ByName<Distribution> {
    let figures = series.into_iter().map(|(name, values)| (name, Distribution::of(values)));
    ByName(figures.collect())
}

/// Thread by thread, and in order within a thread.
fn batch_sizes(threads: &[Thread]) -> Vec<u32> {
    let mut sizes = Vec::new();
    for thread in threads {
        let mut batches = thread.batches.clone();
        batches.sort_unstable();
        sizes.extend(batches.into_iter().map(|(_, size)| size));
    }
    sizes
}

/// Threads of one name are counted together, at the place of the first.
fn upcalls_per_thread(threads: &[Thread]) -> ByName<u64, String> {
    let mut sums: Vec<(String, u64)> = Vec::new();
    let mut places = FastMap::<Comm, usize>::default();
    for thread in threads.iter().filter(|thread| !thread.group.durations.is_empty()) {
        let place = *places.entry(thread.comm).or_insert_with(|| {
            sums.push((thread.comm.to_string(), 0));
            sums.len() - 1
        });
        sums[place].1 += thread.group.durations.len() as u64;
    }
    ByName(sums)
}

/// The busiest port first.
fn port_summaries(
    groups: FastMap<(DatapathId, Option<PortNo>), Group>,
    ports: &Ports,
) -> Vec<PortSummary> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable_by_key(|(key, group)| (Reverse(group.durations.len()), *key));
    let summary = |((datapath, number), group): (_, Group)| PortSummary {
        datapath: ports.datapath_name(datapath).to_owned(),
        port_number: number,
        port: number.and_then(|number| ports.name(datapath, number)).map(str::to_owned),
        upcalls: group.durations.len() as u64,
        incomplete: group.incomplete,
        upcall: Distribution::of(group.durations),
    };
    groups.into_iter().map(summary).collect()
}
