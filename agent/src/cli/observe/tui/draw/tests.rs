//! The screen, as people see it.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::super::view::Answers;
use super::*;

fn distribution(count: u64, scale: i64) -> Option<v1::Distribution> {
    Some(v1::Distribution {
        count,
        min: scale / 2,
        max: scale * 20,
        mean: scale as f64,
        standard_deviation: 1.0,
        median: scale as f64,
        p90: scale * 4,
        p99: scale * 9,
        p999: scale * 10,
    })
}

fn upcall() -> v1::Upcall {
    let phase = |name: &str, offset_ns, duration_ns| v1::Phase {
        name: name.to_owned(),
        offset_ns,
        duration_ns,
    };
    let event = |(index, kind): (usize, v1::EventKind)| v1::Event {
        kind: kind.into(),
        ordinal: 97 + index as u64,
        ..v1::Event::default()
    };
    let kinds = [
        v1::EventKind::DpUpcall,
        v1::EventKind::RecvUpcall,
        v1::EventKind::OpFlowPut,
        v1::EventKind::OpFlowExecute,
        v1::EventKind::OvsPktExec,
    ];
    v1::Upcall {
        start_monotonic_ns: 300_006_489_605,
        duration_ns: 120_000,
        datapath: "ovs-system".to_owned(),
        port_number: Some(4),
        port_name: "p4".to_owned(),
        packet: Some(v1::Packet {
            summary: "10.0.0.1:46772 > 10.0.0.2:5001 tcp SYN".to_owned(),
            ..v1::Packet::default()
        }),
        thread_name: "handler8".to_owned(),
        thread_id: 287,
        batch: Some(v1::Batch { size: 4, index: 2 }),
        match_method: v1::MatchMethod::Bytes.into(),
        phases: vec![
            phase("kernel_to_vswitchd", 0, 25_000),
            phase("lookup", 25_000, 50_500),
            phase("translate", 25_000, 10_500),
            phase("batch_wait", 35_500, 40_000),
            phase("execute_to_kernel", 80_000, 40_000),
        ],
        events: kinds.into_iter().enumerate().map(event).collect(),
        ..v1::Upcall::default()
    }
}

fn answers() -> Answers {
    let names = ["kernel_to_vswitchd", "lookup", "translate", "batch_wait", "execute_to_kernel"];
    let phases = names.into_iter().zip([25_000, 50_000, 10_000, 40_000, 30_000]);
    let port = |index: u32| v1::PortStatistics {
        datapath: "ovs-system".to_owned(),
        port_number: Some(index),
        port_name: if index == 3 { String::new() } else { format!("p{index}") },
        upcalls: 900 / u64::from(index),
        duration: distribution(900, 120_000),
        ..v1::PortStatistics::default()
    };
    let thread = |index: u32| v1::ThreadStatistics {
        thread_name: format!("handler{index}"),
        thread_id: 280 + index,
        upcalls: 700,
        duration: distribution(700, 110_000),
        ..v1::ThreadStatistics::default()
    };
    Answers {
        status: v1::ServerStatusResponse {
            version: "0.1.0".to_owned(),
            node_name: "node-1".to_owned(),
            seen_upcalls: 123_456,
            lost_events: vec![v1::EventCount { kind: 1, count: 42 }],
            ..v1::ServerStatusResponse::default()
        },
        statistics: v1::GetStatisticsResponse {
            upcalls: 1_500,
            incomplete: 7,
            failed: 1,
            duration: distribution(1_499, 120_000),
            phases: phases
                .map(|(name, scale)| v1::NamedDistribution {
                    name: name.to_owned(),
                    duration: distribution(1_499, scale),
                })
                .collect(),
            ports: (1..=6).map(port).collect(),
            threads: (1..=2).map(thread).collect(),
            slowest: vec![upcall(), upcall()],
            ..v1::GetStatisticsResponse::default()
        },
    }
}

fn screen(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    terminal.backend().to_string()
}

fn busy() -> View {
    let (mut view, start) = (View::default(), Instant::now());
    for second in 0..20 {
        let mut answers = answers();
        answers.status.seen_upcalls += second * second * 10;
        view.update(answers, start + Duration::from_secs(second));
    }
    view
}

#[test]
fn before_the_first_upcall() {
    insta::assert_snapshot!(screen(&View::default(), 80, 24));
}

#[test]
fn a_busy_node() {
    insta::assert_snapshot!(screen(&busy(), 80, 24));
}

#[test]
fn a_larger_terminal() {
    let mut view = busy();
    view.key(KeyEvent::from(KeyCode::Down));
    view.key(KeyEvent::from(KeyCode::Char('p')));
    insta::assert_snapshot!(screen(&view, 120, 30));
}

#[test]
fn an_upcall_that_was_not_delivered() {
    let mut answers = answers();
    let failure = v1::Failure { errno: 11, message: "the socket is full".to_owned() };
    answers.statistics.slowest = vec![v1::Upcall { failure: Some(failure), ..upcall() }];
    let mut view = View::default();
    view.update(answers, Instant::now());
    let screen = screen(&view, 80, 24);
    assert!(
        screen.contains("not delivered after 120µs: the socket is full (errno 11)"),
        "{screen}"
    );
}

#[test]
fn no_size_is_too_small_and_no_name_too_odd() {
    let mut answers = answers();
    answers.status.node_name = "a\u{1b}[2Jb".to_owned();
    answers.statistics.ports[0].port_name = "ü".repeat(300);
    answers.statistics.slowest[0].datapath = "\n\r\t".to_owned();
    let mut view = View::default();
    view.update(answers, Instant::now());
    for (width, height) in [(1, 1), (10, 5), (40, 12), (79, 23), (300, 100)] {
        let screen = screen(&view, width, height);
        assert!(!screen.contains('\u{1b}'));
    }
}
