//! The same events in two recordings of the same time, of which only one is whole.
//!
//! Where two captures have programs at one probe, both run each time that it is hit, one right after
//! the other, always in the same order. So an event of one recording is, in the other, the last
//! before it, or else the first after it, of its kind and thread.

use std::collections::HashMap;

use anyhow::ensure;
use upspan::event::{Cpu, EventKind, MonotonicNs, Tid};

use super::events::{Event, Events};

/// What happens in one order. A thread may go on on another CPU between the two programs, but for
/// those of a `dp_upcall`, in the kernel; and the idle thread is on all CPUs.
type Key = (EventKind, Tid, Option<Cpu>);

/// Ordinals of the whole recording, by those of the part.
pub(crate) fn align(part: &Events, whole: &Events) -> anyhow::Result<HashMap<u64, u64>> {
    let (part_by_key, whole_by_key) = (by_key(part), by_key(whole));
    let mut aligned = HashMap::new();
    for kind in EventKind::ALL {
        let keys = || part_by_key.keys().filter(move |(of, ..)| *of == kind);
        let order = |after: bool| {
            let one = |key: &Key| {
                let whole = whole_by_key.get(key).map_or(&[][..], Vec::as_slice);
                part_by_key[key].iter().map(move |event| neighbour(event, whole, after))
            };
            keys().flat_map(one).collect::<Vec<_>>()
        };
        let (before, after) = (order(false), order(true));
        let events: Vec<&Event> = keys().flat_map(|key| part_by_key[key].iter().copied()).collect();
        let chosen =
            if distance(&events, &before) <= distance(&events, &after) { before } else { after };
        for (event, other) in events.into_iter().zip(chosen) {
            // At the edges of the recordings there may be none.
            let Some(other) = other else { continue };
            ensure!(
                event.packet() == other.packet(),
                "a {kind} of another packet is at {:?} and {:?}",
                event.head.ts,
                other.head.ts
            );
            let ordinal = other.head.ordinal.0;
            aligned.insert(event.head.ordinal.0, ordinal);
        }
    }
    let distinct: std::collections::HashSet<u64> = aligned.values().copied().collect();
    ensure!(distinct.len() == aligned.len(), "two events are the same one in the whole recording");
    Ok(aligned)
}

fn by_key(events: &Events) -> HashMap<Key, Vec<&Event>> {
    let mut by_key: HashMap<Key, Vec<&Event>> = HashMap::new();
    for event in &events.all {
        let cpu = (event.kind() == EventKind::DpUpcall).then_some(event.head.cpu);
        by_key.entry((event.kind(), event.head.tid, cpu)).or_default().push(event);
    }
    by_key.values_mut().for_each(|events| events.sort_by_key(|event| event.head.ts));
    by_key
}

fn neighbour<'e>(event: &Event, whole: &[&'e Event], after: bool) -> Option<&'e Event> {
    let next = whole.partition_point(|other| other.head.ts < event.head.ts);
    let at = if after { Some(next) } else { next.checked_sub(1) };
    whole.get(at?).copied()
}

/// How far events are from their neighbours, in the mean.
fn distance(events: &[&Event], neighbours: &[Option<&Event>]) -> u64 {
    let apart = |a: MonotonicNs, b: MonotonicNs| a.0.abs_diff(b.0);
    let mut all: Vec<u64> = events
        .iter()
        .zip(neighbours)
        .map(|(event, other)| other.map_or(u64::MAX, |other| apart(event.head.ts, other.head.ts)))
        .collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or(0)
}
