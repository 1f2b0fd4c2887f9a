//! A report of a few upcalls made by hand.

use insta::assert_snapshot;

use super::fixture::{head, ports, upcall};
use super::text::{self, TextOptions};
use super::{EventCounts, Report, ReportOptions, Summary};
use crate::event::{EventKind, InPort, Unusable};
use crate::ports::{DatapathId, PortNo};
use crate::upcall::{
    BatchPlace, MatchMethod, MissingReason, Sink, Unmatched, UnmatchedReason, Upcall,
};

/// Two segments of one GSO packet in a batch of two, an upcall without its execution in the kernel
/// and one without the kernel's side, in the order of the ordinals; 17 events.
fn upcalls(datapath: DatapathId) -> [Upcall<'static>; 4] {
    let mut first = upcall(datapath, 0, [1_000, 11_000, 31_000, 36_000, 101_500], 7);
    let mut second = upcall(datapath, 5, [1_000, 21_000, 41_000, 46_000, 106_000], 7);
    for (index, segment) in [&mut first, &mut second].into_iter().enumerate() {
        segment.batch = BatchPlace { size: 2, index: index as u32 };
        let kernel = segment.kernel.as_mut().expect("was made with it");
        kernel.head = head(0, 1_000, 887, "ping");
        kernel.gso_segment = Some(index as u32);
        kernel.matched = MatchMethod::Prefix;
    }
    let mut cut = upcall(datapath, 10, [200_000, 300_000, 900_000, 950_000, 0], 8);
    cut.packet_execute = None;
    cut.missing.set(EventKind::OvsPktExec, MissingReason::Ended);
    let mut orphan = upcall(datapath, 15, [0, 210_000, 220_000, 230_000, 245_000], 7);
    (orphan.kernel, orphan.flow_put) = (None, None);
    orphan.in_port = InPort::Any;
    orphan.missing.set(EventKind::DpUpcall, MissingReason::NotSeen);
    [first, second, cut, orphan]
}

fn counts() -> EventCounts {
    let mut counts = EventCounts::default();
    let usable = [
        (EventKind::DpUpcall, 3),
        (EventKind::RecvUpcall, 4),
        (EventKind::OpFlowPut, 4),
        (EventKind::OpFlowExecute, 4),
        (EventKind::OvsPktExec, 3),
    ];
    for (kind, count) in usable {
        (0..count).for_each(|_| counts.usable(kind));
    }
    counts.unusable(EventKind::RecvUpcall, Unusable::UnknownType);
    counts.filtered(EventKind::OpFlowPut, 1);
    counts.lost(EventKind::OvsPktExec, 1);
    counts.malformed_lines(1);
    counts
}

fn report(options: ReportOptions) -> Summary {
    let (ports, datapath) = ports();
    let mut report = Report::new(options);
    let [first, second, cut, orphan] = upcalls(datapath);
    report.thread_event(&head(1, 0, 5, "revalidator5"));
    report.thread_event(&orphan.recv);
    report.thread_event(&cut.recv);
    // As they complete: the one that waits for its execution comes last.
    for upcall in [orphan, second, first, cut] {
        report.upcall(&upcall);
    }
    for (kind, ordinal, reason) in [
        (EventKind::OpFlowPut, 20, UnmatchedReason::Revalidator),
        (EventKind::DpUpcall, 21, UnmatchedReason::NeverReceived),
    ] {
        report.unmatched(&Unmatched { kind, head: head(ordinal, 0, 5, "revalidator5"), reason });
    }
    let mut summary = report.finish(counts(), &ports);
    for waterfall in &mut summary.slowest {
        // How packets are summed up is tested elsewhere.
        "10.0.0.1 > 10.0.0.2".clone_into(&mut waterfall.packet);
    }
    summary
}

fn text(summary: &Summary, options: &TextOptions) -> String {
    let mut out = Vec::new();
    text::write(summary, &mut out, options).expect("memory takes it");
    String::from_utf8(out).expect("is text")
}

#[test]
fn every_event_is_in_one_place() {
    let summary = report(ReportOptions::default());
    let accounting = summary.accounting();
    assert_eq!(accounting.read, 20);
    // 4 recv_upcall, 3 puts, 4 executes, 3 executions, and 2 dp_upcalls: the segments share one.
    assert_eq!(accounting.in_upcalls, 16);
    assert_eq!((accounting.unmatched, accounting.unusable, accounting.filtered), (2, 1, 1));
    assert_eq!(accounting.unaccounted, 0);
    assert!(!text(&summary, &TextOptions::default()).contains("unaccounted"));
}

#[test]
fn an_event_that_is_nowhere_is_told() {
    let (ports, _) = ports();
    let summary = Report::new(ReportOptions::default()).finish(counts(), &ports);
    assert_eq!(summary.accounting().unaccounted, 18);
    let text = text(&summary, &TextOptions::default());
    assert!(text.contains("WARNING: 18 events are unaccounted for: a bug."));
}

#[test]
fn no_events_are_no_panic() {
    let (ports, _) = ports();
    let summary = Report::new(ReportOptions { keep_sets: true, slowest: 3 })
        .finish(EventCounts::default(), &ports);
    assert_eq!(summary.upcalls(), 0);
    assert_snapshot!(text(&summary, &TextOptions::default()));
}

#[test]
fn text_of_a_report() {
    let summary = report(ReportOptions { keep_sets: false, slowest: 2 });
    let options = TextOptions { buckets: 3.try_into().expect("not 0"), sets: true, width: 100 };
    assert_snapshot!(text(&summary, &options));
}

#[test]
fn json_of_a_report() {
    let summary = report(ReportOptions { keep_sets: true, slowest: 1 });
    assert_snapshot!(serde_json::to_string_pretty(&summary).expect("serialises"));
}

#[test]
fn sets_are_there_on_demand_only() {
    let json = serde_json::to_value(report(ReportOptions::default())).expect("serialises");
    assert!(json.get("sets").is_none());
    assert_eq!(json["slowest"], serde_json::json!([]));
}

#[test]
fn the_slowest_are_kept_in_order() {
    let (ports, datapath) = ports();
    let mut report = Report::new(ReportOptions { keep_sets: false, slowest: 3 });
    for (ordinal, duration) in [(0, 50), (5, 900), (10, 20), (15, 900), (20, 70), (25, 60)] {
        report.upcall(&upcall(datapath, ordinal, [0, 1, 2, 3, duration], 7));
    }
    let summary = report.finish(EventCounts::default(), &ports);
    let json = serde_json::to_value(summary.slowest()).expect("serialises");
    let kept = json.as_array().expect("is a list").iter();
    let kept: Vec<_> = kept.map(|kept| kept["events"]["dp_upcall"].as_u64()).collect();
    assert_eq!(kept, [Some(5), Some(15), Some(20)]);
}

#[test]
fn times_that_step_back_or_wrap_are_no_panic() {
    let (ports, datapath) = ports();
    let mut report = Report::new(ReportOptions { keep_sets: true, slowest: 9 });
    let times = [
        [u64::MAX, 0, u64::MAX, 0, u64::MAX],
        [0, u64::MAX, 0, u64::MAX, 0],
        [5, 4, 3, 2, 1],
        [0, 0, 0, 0, 0],
        [1 << 63, 0, 1 << 62, 0, 1 << 63],
    ];
    for (index, times) in times.into_iter().enumerate() {
        report.upcall(&upcall(datapath, index as u64 * 5, times, 7));
    }
    let summary = report.finish(EventCounts::default(), &ports);
    assert_eq!(summary.upcalls(), 5);
    assert!(text(&summary, &TextOptions::default()).contains("The 5 slowest upcalls"));
    serde_json::to_string(&summary).expect("serialises");
}

#[test]
fn ports_without_a_name_go_by_number() {
    let (ports, datapath) = ports();
    let mut report = Report::new(ReportOptions { keep_sets: false, slowest: 1 });
    let mut unnamed = upcall(datapath, 0, [0, 1, 2, 3, 4], 7);
    unnamed.kernel.as_mut().expect("was made with it").port = PortNo(77);
    report.upcall(&unnamed);
    let text = text(&report.finish(EventCounts::default(), &ports), &TextOptions::default());
    assert!(text.contains("\n  ovs-system/77  "), "{text}");
    assert!(text.contains("0.000000000 ovs-system/77: "), "{text}");
}

#[test]
fn threads_of_one_name_are_summed() {
    let (ports, datapath) = ports();
    let mut report = Report::new(ReportOptions::default());
    for (ordinal, tid) in [(0, 7), (5, 8), (10, 7)] {
        let mut upcall = upcall(datapath, ordinal, [1_000, 2_000, 3_000, 4_000, 5_000], tid);
        upcall.recv = head(ordinal + 1, 2_000, tid, "handler1");
        report.upcall(&upcall);
    }
    let json = serde_json::to_value(report.finish(EventCounts::default(), &ports)).unwrap();
    assert_eq!(json["upcalls_per_thread"], serde_json::json!({ "handler1": 3 }));
}
