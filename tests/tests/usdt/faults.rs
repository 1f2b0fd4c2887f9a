//! What goes wrong while capturing is counted, and does no harm.

use std::time::Duration;

use upspan::event::EventKind::{self, OpFlowExecute, OpFlowPut, RecvUpcall};
use upspan::source::live::uprobe::Method;
use upspan_ebpf::config::{Config, upcalls};

use super::capture::{CONFIG, Event, Loaded, METHODS, Seen};
use super::found;
use super::vswitchd::{Build, Running};

/// The first of the events, which is a `recv_upcall`.
fn received(events: &[Event]) -> &Event {
    let first = events.first().expect("there is one");
    assert_eq!(first.kind, RecvUpcall);
    first
}

#[test]
fn absurd_packets_are_bounded() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    for method in METHODS {
        let mut loaded = Loaded::new(method);
        let _attached = loaded.attach(&probes);
        // Empty, absurdly long, and not there; see tests/usdt/main.c.
        for (order, len, captured) in [("0", 0, 0), ("x", 0xffff_ffff, 256), ("u", 60, 0)] {
            running.order(order);
            let events = loaded.events();
            let received = received(&events);
            assert_eq!((received.packet_len, received.packet.len()), (len, captured), "{order}");
            assert_eq!((received.key_len, received.key.len()), (100, 100), "{order}");
            let executed = events.last().expect("there are three");
            assert_eq!(executed.kind, OpFlowExecute);
            assert_eq!((executed.packet_len, executed.packet.len()), (len, captured), "{order}");
        }
    }
}

#[test]
fn limits_and_types_are_those_of_the_configuration() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    let config = Config { packet_limit: 64, key_limit: 2048, upcalls: upcalls::ACTION, ..CONFIG };
    let mut loaded = Loaded::with(Method::Multi, &config);
    let _attached = loaded.attach(&probes);
    running.order("b");
    let events = loaded.events();
    let received = received(&events);
    assert_eq!((received.upcall_type, received.packet.len(), received.key.len()), (1, 64, 200));
    assert_eq!(events.iter().filter(|event| event.kind == RecvUpcall).count(), 1);
}

#[test]
fn what_a_full_ring_loses_is_counted_and_located() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    for method in METHODS {
        // A page; the thousand upcalls take some eighty.
        let config = Config { ring_bytes: 1 << 12, ..CONFIG };
        let mut loaded = Loaded::with(method, &config);
        let _attached = loaded.attach(&probes);
        running.order("m");
        let seen = loaded.seen();
        let captured = |kind: EventKind| {
            let is_it = |seen: &&Seen| matches!(seen, Seen::Event(event) if event.kind == kind);
            seen.iter().filter(is_it).count() as u64
        };
        for kind in [RecvUpcall, OpFlowPut, OpFlowExecute] {
            let lost: Vec<_> = seen
                .iter()
                .filter_map(|seen| match seen {
                    &Seen::Lost(of, count) if of == kind => Some(count),
                    _ => None,
                })
                .collect();
            assert!(captured(kind) > 0, "{method}: {kind:?}");
            assert_eq!(lost, [1000 - captured(kind)], "{method}: {kind:?}");
        }
        // The next one of the same CPU says that some are missing before it. Some round is on a CPU
        // that an earlier one was on.
        let cpus = std::thread::available_parallelism().expect("it is known").get();
        let is_located = (0..=cpus).any(|_| {
            running.order("m");
            loaded.seen().contains(&Seen::Gap)
        });
        assert!(is_located, "{method}");
    }
}

#[test]
fn somebody_is_woken_up_only_when_the_ring_fills() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    // A thousand upcalls take some 330 KiB.
    let config = Config { wake_bytes: 1 << 17, ..CONFIG };
    let mut loaded = Loaded::with(Method::Multi, &config);
    let _attached = loaded.attach(&probes);
    running.order("h");
    assert!(!loaded.is_woken(), "there is something, but not much");
    running.order("m");
    assert!(loaded.is_woken());
    assert!(!loaded.is_woken(), "once is enough");
    loaded.events();
    running.order("h");
    assert!(!loaded.is_woken(), "there is little again");
}

#[test]
fn the_next_record_is_told_to_whoever_waits_for_it() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    let mut loaded = Loaded::new(Method::Multi);
    let _attached = loaded.attach(&probes);
    for _ in 0..100 {
        let has_come = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| loaded.capture.wait_for_next(Duration::from_secs(60)));
            running.order("h");
            waiter.join().expect("it does not panic")
        });
        assert!(has_come);
        assert_eq!(loaded.events().len(), 3);
    }
    assert!(!loaded.capture.wait_for_next(Duration::ZERO), "there is nothing");
    running.order("h");
    assert!(!loaded.is_woken(), "nobody waits any more");
}
