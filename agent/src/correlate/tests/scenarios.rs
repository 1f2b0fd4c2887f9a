//! Known sequences of events, among them the seven that upcall_cost.py tests itself with: they are
//! written as one word an event, `KIND[THREAD][:PACKET]`; that of an upcall of type action ends in
//! `!`.

use super::*;

/// `dp:1` and the like; packets 1–3 differ in their last byte, as the reference's do.
fn events(words: &str) -> Vec<Owned> {
    let word = |(n, word): (usize, &str)| {
        let is_action = word.ends_with('!');
        let word = word.trim_end_matches('!');
        let (head, packet) = word.split_once(':').unwrap_or((word, ""));
        let digits = head.find(|c: char| c.is_ascii_digit()).unwrap_or(head.len());
        let (name, tid) = head.split_at(digits);
        let kind = match name {
            "dp" => EventKind::DpUpcall,
            "recv" => EventKind::RecvUpcall,
            "put" => EventKind::OpFlowPut,
            "exec" => EventKind::OpFlowExecute,
            "kexec" => EventKind::OvsPktExec,
            other => panic!("no event is called {other}"),
        };
        let tid = tid.parse().unwrap_or(1);
        let mut event = Owned::new(kind, u64::try_from(n).unwrap() + 1, tid);
        if is_action {
            event.upcall_type = UpcallType::Action;
        }
        match packet.parse::<u8>() {
            Ok(packet) => event.packet(&[1, 2, 3, 4, 4 + packet]),
            Err(_) => event,
        }
    };
    words.split_whitespace().enumerate().map(word).collect()
}

/// The upcalls as ordinals in the order dp, recv, put, exec, kexec; `-` where there is none.
fn upcalls(words: &str) -> Vec<String> {
    show(correlate(Config::default(), &events(words)))
}

fn show(collected: Collected) -> Vec<String> {
    const ORDER: [EventKind; 5] = [
        EventKind::DpUpcall,
        EventKind::RecvUpcall,
        EventKind::OpFlowPut,
        EventKind::OpFlowExecute,
        EventKind::OvsPktExec,
    ];
    let one = |set: &Set| {
        ORDER.map(|kind| set.get(&kind).map_or("-".to_owned(), u64::to_string)).join(" ")
    };
    collected.sorted().iter().map(one).collect()
}

#[test]
fn single_event() {
    assert_eq!(upcalls("dp:1 recv:1 put exec:1 kexec"), ["0 1 2 3 4"]);
}

#[test]
fn single_event_without_flow_put() {
    assert_eq!(upcalls("dp:1 recv:1 exec:1 kexec"), ["0 1 - 2 3"]);
}

#[test]
fn batch() {
    let words = "dp:1 dp:2 dp:3 recv:1 recv:3 recv:2 \
                 put exec:1 kexec put exec:3 kexec put exec:2 kexec";
    assert_eq!(upcalls(words), ["0 3 6 7 8", "2 4 9 10 11", "1 5 12 13 14"]);
}

#[test]
fn single_event_and_batch() {
    let words = "dp:1 recv:1 put exec:1 kexec \
                 dp:1 dp:2 dp:3 recv:1 recv:3 recv:2 \
                 put exec:1 kexec put exec:3 kexec put exec:2 kexec";
    let expected = ["0 1 2 3 4", "5 8 11 12 13", "7 9 14 15 16", "6 10 17 18 19"];
    assert_eq!(upcalls(words), expected);
}

#[test]
fn actions_take_their_place_in_the_batch() {
    let words = "dp:1 dp:2! dp:3! dp:1 recv:1 recv:2! recv:3! recv:1 \
                 put exec:1 exec:3 put kexec kexec";
    let expected = ["0 4 8 9 12", "1 5 - - -", "2 6 - 10 13", "3 7 11 - -"];
    let collected = correlate(Config::default(), &events(words));
    assert!(collected.complete.iter().all(|&complete| complete));
    assert_eq!(show(collected), expected);
}

#[test]
fn batches_of_actions_run_into_the_next_one() {
    // 60 and 10 actions, and a batch of 10 misses: longer than a batch, and nothing is lost.
    let recvs = format!("{}{}", "recv:1! ".repeat(70), "recv:2 ".repeat(10));
    let operations = format!("{}{}", "put exec:2 ".repeat(10), "kexec ".repeat(10));
    let collected = correlate(Config::default(), &events(&format!("{recvs}{operations}")));
    let is_whole = |set: &&Set| set.len() == 4 && set[&EventKind::OpFlowExecute] > 80;
    assert_eq!(collected.sets.iter().filter(is_whole).count(), 10);
    assert!(collected.unmatched.is_empty());
}

#[test]
fn an_action_is_no_miss_of_the_same_packet() {
    assert_eq!(upcalls("dp:1 dp:1! recv:1! recv:1 put exec:1 kexec"), ["1 2 - - -", "0 3 4 5 6"]);
    assert_eq!(upcalls("dp:1 recv:1!"), ["- 1 - - -"]);
}

#[test]
fn two_threads() {
    let words = "dp:1 dp:2 recv1:1 recv2:2 put2 put1 exec2:2 exec1:1 kexec1 kexec2";
    assert_eq!(upcalls(words), ["0 2 5 7 8", "1 3 4 6 9"]);
}

#[test]
fn batch_with_a_member_without_operations() {
    let words = "dp:1 dp:2 recv:1 recv:2 put exec:2 kexec";
    assert_eq!(upcalls(words), ["0 2 - - -", "1 3 4 5 6"]);
}

#[test]
fn batch_with_packet_executes_at_its_end() {
    let words = "dp:1 dp:2 dp:3 recv:1 recv:2 recv:3 \
                 put exec:1 put exec:2 put exec:3 kexec kexec kexec";
    assert_eq!(upcalls(words), ["0 3 6 7 12", "1 4 8 9 13", "2 5 10 11 14"]);
}

#[test]
fn a_dropped_packet_has_a_put_and_no_execute() {
    let collected = correlate(
        Config::default(),
        &events("dp:1 dp:2 dp:3 recv:1 recv:2 recv:3 put exec:1 put put exec:3 kexec kexec"),
    );
    assert!(collected.unmatched.is_empty());
    assert_eq!(show(collected), ["0 3 6 7 11", "1 4 8 - -", "2 5 9 10 12"]);
}

#[test]
fn chunks_of_operations_execute_one_after_the_other() {
    let words = "recv:1 recv:2 exec:1 kexec put exec:2 kexec";
    assert_eq!(upcalls(words), ["- 0 - 2 3", "- 1 4 5 6"]);
}

#[test]
fn a_packet_execute_is_never_joined_where_numbers_do_not_fit() {
    // Of two packets sent, one is seen to execute: which one, cannot be told.
    let collected = correlate(
        Config::default(),
        &events("recv:1 recv:2 exec:1 exec:2 kexec recv:3 exec:3 kexec"),
    );
    let ambiguous = (EventKind::OvsPktExec, 4, UnmatchedReason::Ambiguous);
    assert!(collected.unmatched.contains(&ambiguous), "{:?}", collected.unmatched);
    // The next batch is of the same thread, and so is in doubt too.
    assert_eq!(show(collected), ["- 0 - 2 -", "- 1 - 3 -", "- 5 - 6 -"]);
}

#[test]
fn at_the_end_of_a_recording_what_has_come_is_joined() {
    assert_eq!(upcalls("recv:1 recv:2 exec:1 exec:2 kexec"), ["- 0 - 2 4", "- 1 - 3 -"]);
}

#[test]
fn equal_packets_are_joined_first_in_first_out() {
    let words = "dp:1 dp:1 recv:1 recv:1 exec:1 exec:1 kexec kexec";
    assert_eq!(upcalls(words), ["0 2 - 4 6", "1 3 - 5 7"]);
}

#[test]
fn with_losses_equal_packets_are_not_joined() {
    let config = Config { lossy: true, ..Config::default() };
    let collected = correlate(config, &events("dp:1 dp:1 recv:1 exec:1 kexec"));
    for ordinal in [0, 1] {
        let ambiguous = (EventKind::DpUpcall, ordinal, UnmatchedReason::Ambiguous);
        assert!(collected.unmatched.contains(&ambiguous));
    }
    assert_eq!(show(collected), ["- 2 - 3 4"]);
}

#[test]
fn revalidators_put_flows_of_their_own() {
    let mut all = events("dp:1 recv:1 put2 put exec:1 kexec");
    all[2].comm = "revalidator7";
    let collected = correlate(Config::default(), &all);
    let revalidator = (EventKind::OpFlowPut, 2, UnmatchedReason::Revalidator);
    assert_eq!(collected.unmatched, [revalidator]);
    assert_eq!(show(collected), ["0 1 3 4 5"]);
}

#[test]
fn another_port_is_another_packet() {
    let mut all = events("dp:1 dp:1 recv:1");
    all[0].in_port = InPort::Port(PortNo(2));
    assert_eq!(show(correlate(Config::default(), &all)), ["1 2 - - -"]);
}

#[test]
fn another_datapath_has_ports_of_its_own() {
    let mut ports = Ports::default();
    let [first, second] = [b"one", b"two"].map(|name| ports.datapath(name).unwrap());
    let mut all = events("dp:1 dp:1 recv:1");
    all[0].datapath = first;
    all[1].datapath = second;
    all[2].datapath = second;
    assert_eq!(show(correlate(Config::default(), &all)), ["1 2 - - -"]);
}

#[test]
fn a_tunnel_key_matches_any_port() {
    let mut all = events("dp:1 recv:1");
    all[1].in_port = InPort::Any;
    assert_eq!(show(correlate(Config::default(), &all)), ["0 1 - - -"]);
}

#[test]
fn a_dp_upcall_gives_up_after_the_timeout() {
    let mut all = events("dp:1 dp:2 recv:1 recv:2");
    for event in &mut all[1..] {
        event.ts += Config::default().timeout_ns + 1;
    }
    let collected = correlate(Config::default(), &all);
    let never = (EventKind::DpUpcall, 0, UnmatchedReason::NeverReceived);
    assert_eq!(collected.unmatched, [never]);
    assert_eq!(show(collected), ["- 2 - - -", "1 3 - - -"]);
}

#[test]
fn one_absurd_timestamp_does_not_end_correlation() {
    let mut all = events("dp:3 dp:1 recv:1 exec:1 kexec");
    all[0].ts = u64::MAX - 5;
    assert_eq!(show(correlate(Config::default(), &all)), ["1 2 - 3 4"]);
}

#[test]
fn a_silent_thread_times_out() {
    let mut all = events("dp:1 recv:1 exec:1 dp:2");
    all[3].ts += 2 * Config::default().timeout_ns;
    let mut correlator = Correlator::new(Config::default());
    let mut collected = Collected::default();
    for (ordinal, event) in all.iter().enumerate() {
        correlator.push(&event.event(ordinal), &mut collected);
    }
    assert_eq!(show(collected), ["0 1 - 2 -"]);
}

#[test]
fn a_source_that_lags_far_behind_loses_nothing() {
    let events = events("dp:1 recv:1 put exec:1 kexec dp:2 recv:2 put exec:2 kexec");
    let mut correlator = Correlator::new(Config::default());
    let mut collected = Collected::default();
    for (ordinal, event) in events.iter().enumerate() {
        let late = Owned { ts: event.ts + 60_000_000_000, ..event.clone() };
        correlator.push(&late.event(ordinal), &mut collected);
        correlator.settle(MonotonicNs(40_000_000_000), &mut collected);
    }
    correlator.finish(&mut collected);
    assert_eq!(show(collected), ["0 1 2 3 4", "5 6 7 8 9"]);
}

#[test]
fn a_thread_that_fell_silent_is_settled() {
    let events = events("dp:1 recv:1 put exec:1 kexec");
    let mut correlator = Correlator::new(Config::default());
    let mut collected = Collected::default();
    for (ordinal, event) in events.iter().enumerate() {
        correlator.push(&event.event(ordinal), &mut collected);
    }
    correlator.settle(MonotonicNs(50_000_000), &mut collected);
    assert!(collected.sets.is_empty(), "it may go on");
    correlator.settle(MonotonicNs(200_000_000), &mut collected);
    assert_eq!(show(collected), ["0 1 2 3 4"]);
}
