//! Properties of whatever comes.

use proptest::prelude::*;

use super::*;

/// What vswitchd does with an upcall.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Installs a flow and executes the packet.
    Install,
    /// Executes the packet: its flow is there already.
    Execute,
    /// Installs a flow that drops the packet.
    Drop,
}

/// Most operations of a chunk (`OPERATE_MAX_OPS` of lib/dpif-netlink.c).
const CHUNK: usize = 50;

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate =
        prop_oneof![4 => Just(Fate::Install), 2 => Just(Fate::Execute), 1 => Just(Fate::Drop)];
    proptest::collection::vec(fate, 1..=64).prop_map(|mut fates| {
        // A put right before an execute belongs to it: so after a drop there must be an install,
        // or the order of operations would not tell.
        for place in 1..fates.len() {
            if matches!((fates[place - 1], fates[place]), (Fate::Drop, Fate::Execute)) {
                fates[place] = Fate::Install;
            }
        }
        fates
    })
}

/// Threads, each with its batches.
fn threads() -> impl Strategy<Value = Vec<Vec<Vec<Fate>>>> {
    proptest::collection::vec(proptest::collection::vec(fates(), 1..6), 1..5)
}

/// One thread's events in order, and the upcalls in them as positions.
fn thread_events(tid: u32, batches: &[Vec<Fate>], next: &mut u32) -> (Vec<Owned>, Vec<Set>) {
    let mut events = Vec::new();
    let mut sets = Vec::new();
    let add = |events: &mut Vec<Owned>, kind, packet: &[u8]| {
        events.push(Owned::new(kind, 0, tid).packet(packet));
        u64::try_from(events.len() - 1).unwrap()
    };
    for fates in batches {
        let packets: Vec<[u8; 64]> = fates
            .iter()
            .map(|_| {
                *next += 1;
                let mut packet = [0; 64];
                packet[40..44].copy_from_slice(&next.to_be_bytes());
                packet
            })
            .collect();
        let mut batch: Vec<Set> = vec![Set::new(); fates.len()];
        for (set, packet) in batch.iter_mut().zip(&packets) {
            set.insert(EventKind::DpUpcall, add(&mut events, EventKind::DpUpcall, packet));
        }
        for (set, packet) in batch.iter_mut().zip(&packets) {
            set.insert(EventKind::RecvUpcall, add(&mut events, EventKind::RecvUpcall, packet));
        }
        let operations = fates.iter().enumerate().flat_map(|(place, fate)| {
            let of_fate: &[EventKind] = match fate {
                Fate::Install => &[EventKind::OpFlowPut, EventKind::OpFlowExecute],
                Fate::Execute => &[EventKind::OpFlowExecute],
                Fate::Drop => &[EventKind::OpFlowPut],
            };
            of_fate.iter().map(move |kind| (place, *kind))
        });
        for chunk in operations.collect::<Vec<_>>().chunks(CHUNK) {
            for (place, kind) in chunk {
                let bytes: &[u8] =
                    if *kind == EventKind::OpFlowPut { &[] } else { &packets[*place] };
                batch[*place].insert(*kind, add(&mut events, *kind, bytes));
            }
            for (place, kind) in chunk {
                if *kind == EventKind::OpFlowExecute {
                    let kind = EventKind::OvsPktExec;
                    batch[*place].insert(kind, add(&mut events, kind, &[]));
                }
            }
        }
        sets.extend(batch);
    }
    (events, sets)
}

/// Well-formed sequences of several threads, interleaved at random, and the upcalls in them.
fn interleaved() -> impl Strategy<Value = (Vec<Owned>, Vec<Set>)> {
    (threads(), any::<u64>()).prop_map(|(threads, seed)| {
        let mut next = 0;
        let mut queues = Vec::new();
        for (tid, batches) in (1..).zip(&threads) {
            let (events, sets) = thread_events(tid, batches, &mut next);
            let places = vec![0; events.len()];
            queues.push((events.into_iter(), sets, places, 0));
        }
        let mut all = Vec::new();
        let mut random = seed | 1;
        while !queues.iter().all(|(events, ..)| events.len() == 0) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = usize::try_from(random >> 40).unwrap() % queues.len();
            let (events, _, places, position) = &mut queues[pick];
            let Some(mut event) = events.next() else { continue };
            places[*position] = u64::try_from(all.len()).unwrap();
            *position += 1;
            event.ts = u64::try_from(all.len()).unwrap() * 1000;
            all.push(event);
        }
        let global = |(_, sets, places, _): (_, Vec<Set>, Vec<u64>, usize)| {
            sets.into_iter().map(move |set| {
                let place = |position: u64| places[usize::try_from(position).unwrap()];
                set.into_iter().map(|(kind, position)| (kind, place(position))).collect()
            })
        };
        let mut sets: Vec<Set> = queues.into_iter().flat_map(global).collect();
        sets.sort_by_key(|set| set[&EventKind::RecvUpcall]);
        (all, sets)
    })
}

/// Anything: few packets, ports and threads, so that much of it fits by accident.
fn soup() -> impl Strategy<Value = Vec<Owned>> {
    let event = (
        0..5usize,
        0..4u32,
        prop_oneof![9 => 0..1_000_000u64, 1 => any::<u64>()],
        proptest::option::of(0..3u32),
        prop_oneof![
            3 => proptest::collection::vec(0..3u8, 0..8),
            1 => proptest::collection::vec(any::<u8>(), 0..80),
            2 => tcp_segment(),
        ],
        0..2000u32,
        proptest::collection::vec(any::<u8>(), 0..16),
    );
    let event = event.prop_map(|(kind, tid, ts, port, packet, more, key)| {
        let mut event = Owned::new(EventKind::ALL[kind], ts, tid).packet(&packet);
        event.len += if more < 1000 { 0 } else { more };
        event.in_port = port.map_or(InPort::Any, |port| InPort::Port(PortNo(port)));
        event.key = key;
        event
    });
    proptest::collection::vec(event, 0..300)
}

/// Headers of TCP segments of one connection, some with an 802.1Q tag.
fn tcp_segment() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), 0..4u8, any::<u32>()).prop_map(|(tagged, id, seq)| {
        let mut packet = vec![2; 12];
        if tagged {
            packet.extend([0x81, 0, 0, 100]);
        }
        packet.extend([8, 0, 0x45, 0, 5, 0xdc, 0, id, 0x40, 0, 64, 6, 0, 0]);
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2, 0x13, 0x88, 0x13, 0x89]);
        packet.extend((seq % 4096).to_be_bytes());
        packet.extend([0, 0, 0, 1, 0x50, 0x10, 1, 1, 0, 0, 0, 0]);
        packet
    })
}

/// How often each event went to the sink.
fn uses(collected: &Collected, events: usize) -> Vec<u32> {
    let mut uses = vec![0; events];
    for (set, gso) in collected.sets.iter().zip(&collected.gso) {
        for (kind, ordinal) in set {
            let shared = *kind == EventKind::DpUpcall && *gso;
            let uses = &mut uses[usize::try_from(*ordinal).unwrap()];
            *uses = if shared { 1 } else { *uses + 1 };
        }
    }
    for (_, ordinal, _) in &collected.unmatched {
        uses[usize::try_from(*ordinal).unwrap()] += 1;
    }
    uses
}

proptest! {
    #[test]
    fn any_interleaving_is_recovered((events, expected) in interleaved()) {
        let collected = correlate(Config::default(), &events);
        prop_assert_eq!(&collected.unmatched, &[]);
        prop_assert_eq!(collected.sorted(), expected);
    }

    /// Where the source says when it lost something, no join is ever wrong.
    #[test]
    fn with_events_dropped_no_wrong_join_survives(
        (events, truth) in interleaved(),
        dropped in proptest::collection::vec(any::<u8>(), 1..50),
        one_in in 2..40u8,
    ) {
        let truth: BTreeMap<u64, Set> =
            truth.into_iter().map(|set| (set[&EventKind::RecvUpcall], set)).collect();
        let mut correlator = Correlator::new(Config::default());
        let mut collected = Collected::default();
        for (ordinal, event) in events.iter().enumerate() {
            if dropped[ordinal % dropped.len()].wrapping_mul(ordinal.to_le_bytes()[0] | 1) % one_in == 0 {
                correlator.lost();
            } else {
                correlator.push(&event.event(ordinal), &mut collected);
            }
        }
        correlator.finish(&mut collected);
        for set in &collected.sets {
            let truth = &truth[&set[&EventKind::RecvUpcall]];
            for (kind, ordinal) in set {
                prop_assert_eq!(truth.get(kind), Some(ordinal), "{:?} is not of {:?}", kind, truth);
            }
        }
    }

    #[test]
    fn every_event_is_accounted_for_once(events in soup(), lossy: bool) {
        let config = Config { lossy, max_waiting: 20, max_threads: 3, ..Config::default() };
        let collected = correlate(config, &events);
        let uses = uses(&collected, events.len());
        prop_assert!(uses.iter().all(|&uses| uses == 1), "{:?}", uses);
    }

    #[test]
    fn memory_is_bounded(events in soup()) {
        let config = Config { max_waiting: 10, max_threads: 2, ..Config::default() };
        let mut correlator = Correlator::new(config);
        let mut collected = Collected::default();
        for round in 0..5 {
            for (ordinal, event) in events.iter().enumerate() {
                correlator.push(&event.event(round * events.len() + ordinal), &mut collected);
                prop_assert!(correlator.waiting.len() <= 10);
                prop_assert!(correlator.threads.len() <= 2);
                for thread in correlator.threads.values() {
                    prop_assert!(thread.held.len() <= config.neighbours);
                }
            }
        }
    }
}
