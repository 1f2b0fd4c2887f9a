//! The BPF programs run where the probes are, and nowhere else, and leave nothing behind.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use upspan::event::EventKind::{self, OpFlowExecute, OpFlowPut, RecvUpcall};
use upspan::source::live::uprobe::Method;
use upspan::source::live::usdt::probes::{ProbeKind, Probes};
use upspan_ebpf::config::Config;

use super::capture::{CONFIG, Event, Loaded, METHODS};
use super::found;
use super::memory::{is_probed, semaphore};
use super::vswitchd::{Build, Running};

fn packet(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|i| (i * 7 + 1) as u8).collect()
}

fn key(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|i| !(i as u8)).collect()
}

fn kinds(events: &[Event]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

/// One upcall of the main thread, as the programs see it.
fn assert_one_upcall(events: &[Event], pid: u32) {
    assert_eq!(kinds(events), [RecvUpcall, OpFlowPut, OpFlowExecute]);
    assert!(events.is_sorted_by_key(|event| event.ts));
    for event in events {
        assert_eq!((event.pid, event.tid), (pid, pid));
        assert_eq!(event.comm, "ovs-vswitchd");
    }
    let [received, put, executed] = events else { unreachable!("there are three") };
    assert_eq!(received.datapath, "system@ovs-system");
    assert_eq!((received.upcall_type, received.packet_len, received.key_len), (0, 60, 100));
    assert_eq!(received.packet, packet(0, 60));
    assert_eq!(received.key, key(0, 100));
    assert!(put.packet.is_empty() && put.key.is_empty());
    assert_eq!((executed.packet_len, &executed.packet), (60, &packet(0, 60)));
}

#[test]
fn the_probes_of_an_upcall_are_captured_both_ways() {
    for build in [Build::Program, Build::SharedLibrary, Build::WithSemaphores] {
        let mut running = Running::start(build);
        let probes = found(&running);
        for method in METHODS {
            let mut loaded = Loaded::new(method);
            let attached = loaded.attach(&probes);
            assert_eq!(attached.iter().map(|attached| attached.places()).sum::<usize>(), 4);
            running.order("h");
            assert_one_upcall(&loaded.events(), running.pid().0);
        }
    }
}

#[test]
fn a_batch_has_its_upcalls_in_order_and_by_type() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    for method in METHODS {
        let mut loaded = Loaded::new(method);
        let _attached = loaded.attach(&probes);
        running.order("b");
        let events = loaded.events();
        assert_eq!(kinds(&events), [RecvUpcall, RecvUpcall, OpFlowPut, OpFlowExecute]);
        let second = &events[1];
        assert_eq!((&*second.datapath, second.upcall_type), ("another", 1));
        // Both are cut to what is captured of them.
        assert_eq!((second.packet_len, &second.packet), (1500, &packet(1, 256)));
        assert_eq!((second.key_len, &second.key), (200, &key(1, 200)));
    }
}

#[test]
fn key_and_packet_of_one_message_are_told_apart() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    let mut loaded = Loaded::new(Method::Multi);
    let _attached = loaded.attach(&probes);
    running.order("k");
    let events = loaded.events();
    let received = &events[0];
    // See tests/usdt/main.c.
    assert_eq!((received.key_len, &received.key), (100, &packet(0, 100)));
    assert_eq!((received.packet_len, &received.packet), (60, &packet(116, 60)));
}

#[test]
fn threads_write_at_the_same_time() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    let config = Config { ring_bytes: 1 << 22, ..CONFIG };
    let mut loaded = Loaded::with(Method::Multi, &config);
    let _attached = loaded.attach(&probes);
    for _ in 0..5 {
        running.order("p");
        let mut threads: HashMap<u32, Vec<Event>> = HashMap::new();
        for event in loaded.events() {
            threads.entry(event.tid).or_default().push(event);
        }
        assert_eq!(threads.len(), 4);
        for events in threads.values() {
            assert!(events.is_sorted_by_key(|event| event.ts));
            assert_eq!(events.len(), 3 * 1000);
            for upcall in events.chunks(3) {
                assert_eq!(kinds(upcall), [RecvUpcall, OpFlowPut, OpFlowExecute]);
                assert_eq!((&upcall[0].packet, &upcall[0].key), (&packet(0, 60), &key(0, 100)));
                assert_eq!(upcall[2].packet, packet(0, 60));
                assert!(upcall.iter().all(|event| event.comm == "ovs-vswitchd"));
            }
        }
    }
}

#[test]
fn threads_are_followed_and_forks_are_not() {
    let mut running = Running::start(Build::Program);
    let pid = running.pid().0;
    let probes = found(&running);
    for method in METHODS {
        let mut loaded = Loaded::new(method);
        let _attached = loaded.attach(&probes);
        running.order("t");
        let events = loaded.events();
        assert_eq!(kinds(&events), [RecvUpcall, OpFlowPut, OpFlowExecute], "{method}");
        assert!(events.iter().all(|event| event.pid == pid && event.tid != pid), "{method}");
        running.order("f");
        assert_eq!(loaded.events(), [], "{method}");
        running.order("h");
        assert_one_upcall(&loaded.events(), pid);
    }
}

#[test]
fn another_process_of_the_same_file_is_left_alone() {
    let mut running = Running::start(Build::Program);
    let mut other = running.another();
    let probes = found(&running);
    for method in METHODS {
        let mut loaded = Loaded::new(method);
        let _attached = loaded.attach(&probes);
        other.order("h");
        assert_eq!(loaded.events(), [], "{method}");
        assert!(!probes.found.iter().any(|probe| is_probed(other.pid(), probe)), "{method}");
        running.order("h");
        assert_one_upcall(&loaded.events(), running.pid().0);
    }
}

/// Soon there are none. Other tests start processes at the same time, which have our files until
/// they become another program.
fn assert_none(probed: &impl Fn() -> usize) {
    let started = Instant::now();
    while probed() > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "{} are left", probed());
        thread::yield_now();
    }
}

#[test]
fn nothing_is_left_behind() {
    for build in [Build::Program, Build::SharedLibrary] {
        let mut running = Running::start(build);
        let pid = running.pid();
        let probes = found(&running);
        let probed = || probes.found.iter().filter(|probe| is_probed(pid, probe)).count();
        for method in METHODS {
            assert_eq!(probed(), 0);
            let mut loaded = Loaded::new(method);
            let attached = loaded.attach(&probes);
            assert_eq!(probed(), 4, "{method}");
            drop(attached);
            assert_none(&probed);
            running.order("h");
            assert_eq!(loaded.events(), [], "{method}");
            // As at the end of the agent: everything is closed, in whichever order.
            let attached = loaded.attach(&probes);
            assert_eq!(probed(), 4, "{method}");
            drop(loaded);
            drop(attached);
            assert_none(&probed);
        }
    }
}

#[test]
fn semaphores_count_up_while_a_program_is_attached() {
    const COMPILED: u16 = 0x5d17;
    let running = Running::start(Build::WithSemaphores);
    let probes = found(&running);
    let values = |of: &Running| -> Vec<_> {
        let value = |kind| {
            let probe = probes.found.iter().find(|probe| probe.kind == kind);
            semaphore(of.pid(), probe.expect("there is one")) - COMPILED
        };
        ProbeKind::ALL.map(value).to_vec()
    };
    let other = running.another();
    for method in METHODS {
        assert_eq!(values(&running), [0, 0, 0]);
        let loaded = Loaded::new(method);
        let attached = loaded.attach(&probes);
        // recv_upcall is at two places.
        assert_eq!(values(&running), [2, 1, 1], "{method}");
        assert_eq!(values(&other), [0, 0, 0], "{method}");
        drop(attached);
        assert_none(&|| values(&running).iter().filter(|&&value| value > 0).count());
    }
}

#[test]
fn a_probe_that_is_refused_takes_no_other_with_it() {
    let mut running = Running::start(Build::Program);
    for method in METHODS {
        let Probes { process, mut found, faults } = found(&running);
        let put = found.iter_mut().find(|probe| probe.kind == ProbeKind::FlowPut);
        // Behind the end of the file.
        put.expect("there is one").offset.0 = 1 << 40;
        let mut loaded = Loaded::new(method);
        let results = loaded.programs.attach_usdt(&Probes { process, found, faults });
        let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        let [error] = &errors[..] else { panic!("{errors:?}") };
        let error = error.to_string();
        assert!(
            error.starts_with("cannot attach to the probe dpif_netlink_operate__:op_flow_put of /")
                && error.contains("Invalid argument"),
            "{error}"
        );
        running.order("h");
        assert_eq!(kinds(&loaded.events()), [RecvUpcall, OpFlowExecute], "{method}");
    }
}

#[test]
fn a_process_that_has_ended_is_called_so() {
    let running = Running::start(Build::Program);
    let probes = found(&running);
    running.end();
    for method in METHODS {
        for result in Loaded::new(method).programs.attach_usdt(&probes) {
            let error = result.expect_err("there is no such process").to_string();
            assert!(error.ends_with(": the process has ended"), "{error}");
        }
    }
}
