//! Figures of the upcalls that are kept.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use upspan_proto::v1;

use super::entry::{Entry, Name};
use super::filter::Filter;
use super::message;
use super::ring::{Found, Ring, Sequence};
use crate::event::{Comm, EventKind, Tid};
use crate::phases::PhaseKind;
use crate::ports::PortNo;
use crate::report::{Distribution, Latency};
use crate::upcall::{MatchMethod, MissingReason};

/// Ports and threads that are listed, unless somebody says otherwise.
const TOP: usize = 10;

/// Most of the slowest upcalls that are listed.
const MAX_SLOWEST: usize = 100;

/// Which figures a client wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    filter: Filter,
    window_ns: u64,
    top: usize,
    slowest: usize,
}

impl TryFrom<v1::GetStatisticsRequest> for Wanted {
    type Error = super::filter::FilterError;

    fn try_from(request: v1::GetStatisticsRequest) -> Result<Self, Self::Error> {
        let most = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            filter: request.filter.unwrap_or_default().try_into()?,
            window_ns: if request.window_ns == 0 { u64::MAX } else { request.window_ns },
            top: if request.top == 0 { TOP } else { most(request.top) },
            slowest: most(request.slowest).min(MAX_SLOWEST),
        })
    }
}

/// Goes through the ring once.
pub(super) fn of(ring: &Ring, wanted: &Wanted) -> v1::GetStatisticsResponse {
    let (oldest, end) = (ring.oldest(), ring.end());
    let starts = (oldest..end).filter_map(|at| match ring.look(at, Entry::start_unix_ns) {
        Found::Entry(start) => Some(start),
        Found::NotYet | Found::Gone => None,
    });
    let since = starts.max().unwrap_or_default().saturating_sub(wanted.window_ns);
    let mut figures = Figures::default();
    for at in oldest..end {
        let is_wanted =
            |entry: &Entry| entry.start_unix_ns() >= since && wanted.filter.passes(entry);
        let found = ring.look(at, |entry| is_wanted(entry).then(|| entry.clone()));
        if let Found::Entry(Some(entry)) = found {
            figures.add(at, &entry, wanted.slowest);
        }
    }
    figures.finish(wanted)
}

/// Upcalls that have something in common.
#[derive(Debug, Default)]
struct Group {
    incomplete: u64,
    failed: u64,
    batches: u64,
    durations: Vec<i64>,
}

impl Group {
    fn add(&mut self, entry: &Entry) {
        let Some(upcall) = entry.upcall() else {
            self.failed += 1;
            return;
        };
        self.durations.push(signed(upcall.duration_ns()));
        self.incomplete += u64::from(!upcall.is_complete());
        self.batches += u64::from(upcall.batch.index == 0);
    }

    fn upcalls(&self) -> u64 {
        self.durations.len() as u64 + self.failed
    }
}

/// A port, with its datapath.
type Key = (Name, Option<PortNo>);

#[derive(Debug, Default)]
struct Figures {
    /// Start of the first and of the latest.
    times: Option<(u64, u64)>,
    all: Group,
    phases: [Vec<i64>; PhaseKind::ALL.len()],
    latencies: [Vec<i64>; Latency::ALL.len()],
    ports: HashMap<Key, (Option<Name>, Group)>,
    threads: HashMap<(Tid, Comm), Group>,
    matches: BTreeMap<Option<MatchMethod>, u64>,
    missing: BTreeMap<(EventKind, MissingReason), u64>,
    /// With the durations, the slowest first.
    slowest: Vec<(u64, v1::Upcall)>,
}

impl Figures {
    fn add(&mut self, sequence: Sequence, entry: &Entry, slowest: usize) {
        let start = entry.start_unix_ns();
        let (first, last) = self.times.unwrap_or((start, start));
        self.times = Some((first.min(start), last.max(start)));
        self.all.add(entry);
        let port = self.ports.entry((entry.datapath, entry.port())).or_default();
        port.0 = entry.port_name;
        port.1.add(entry);
        let Some(upcall) = entry.upcall() else { return };
        for phase in upcall.phases() {
            self.phases[phase.kind as usize].push(signed(phase.duration_ns()));
        }
        for latency in Latency::ALL {
            self.latencies[latency as usize].extend(latency.of(upcall));
        }
        self.threads.entry((upcall.recv.tid, upcall.recv.comm)).or_default().add(entry);
        let matched = upcall.kernel.as_ref().map(|kernel| kernel.matched);
        *self.matches.entry(matched).or_default() += 1;
        for missing in upcall.missing.iter() {
            *self.missing.entry(missing).or_default() += 1;
        }
        let duration = upcall.duration_ns();
        let at = self.slowest.partition_point(|(other, _)| *other >= duration);
        if at < slowest {
            self.slowest.truncate(slowest - 1);
            self.slowest.insert(at, (duration, message::upcall(sequence, entry)));
        }
    }

    fn finish(self, wanted: &Wanted) -> v1::GetStatisticsResponse {
        let (first_unix_ns, last_unix_ns) = self.times.unwrap_or_default();
        let matches = self.matches.into_iter().map(|(method, count)| v1::MatchCount {
            match_method: message::match_method(method).into(),
            count,
        });
        let missing = self.missing.into_iter().map(|((kind, reason), count)| v1::MissingCount {
            kind: message::event_kind(kind).into(),
            reason: reason.name().to_owned(),
            count,
        });
        v1::GetStatisticsResponse {
            first_unix_ns,
            last_unix_ns,
            upcalls: self.all.upcalls(),
            incomplete: self.all.incomplete,
            failed: self.all.failed,
            duration: distribution(self.all.durations),
            phases: named(PhaseKind::ALL.map(PhaseKind::name), self.phases),
            latencies: named(Latency::ALL.map(Latency::name), self.latencies),
            ports: ports(self.ports, wanted.top),
            threads: threads(self.threads, wanted.top),
            matches: matches.collect(),
            missing: missing.collect(),
            slowest: self.slowest.into_iter().map(|(_, upcall)| upcall).collect(),
        }
    }
}

/// Durations are below 292 years, unless a recording is broken.
fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn distribution(values: Vec<i64>) -> Option<v1::Distribution> {
    Some(message::distribution(&Distribution::of(values)))
}

fn named<const N: usize>(
    names: [&'static str; N],
    values: [Vec<i64>; N],
) -> Vec<v1::NamedDistribution> {
    let pairs = names.into_iter().zip(values);
    let named = pairs.map(|(name, values)| v1::NamedDistribution {
        name: name.to_owned(),
        duration: distribution(values),
    });
    named.collect()
}

fn ports(groups: HashMap<Key, (Option<Name>, Group)>, top: usize) -> Vec<v1::PortStatistics> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((datapath, port), (_, group))| {
        (Reverse(group.upcalls()), *port, datapath.as_str().to_owned())
    });
    let port =
        |((datapath, port), (name, group)): (Key, (Option<Name>, Group))| v1::PortStatistics {
            datapath: datapath.as_str().to_owned(),
            port_number: port.map(|port| port.0),
            port_name: name.map(|name| name.as_str().to_owned()).unwrap_or_default(),
            upcalls: group.upcalls(),
            incomplete: group.incomplete,
            failed: group.failed,
            duration: distribution(group.durations),
        };
    groups.into_iter().take(top).map(port).collect()
}

fn threads(groups: HashMap<(Tid, Comm), Group>, top: usize) -> Vec<v1::ThreadStatistics> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((tid, _), group)| (Reverse(group.upcalls()), *tid));
    let thread = |((tid, comm), group): ((Tid, Comm), Group)| v1::ThreadStatistics {
        thread_name: comm.to_str_lossy().into_owned(),
        thread_id: tid.0,
        upcalls: group.upcalls(),
        incomplete: group.incomplete,
        batches: group.batches,
        duration: distribution(group.durations),
    };
    groups.into_iter().take(top).map(thread).collect()
}
