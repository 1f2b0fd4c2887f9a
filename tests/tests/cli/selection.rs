//! Which upcalls become traces.

use super::*;

/// The number of a total.
fn total(totals: &Json, key: &str) -> u64 {
    totals[key].as_u64().unwrap()
}

/// Every upcall ends in one place.
fn assert_accounted(totals: &Json, traces: usize) {
    assert_eq!(total(totals, "traces"), traces as u64);
    let filtered_or_not = total(totals, "upcalls") - total(totals, "filtered");
    assert_eq!(filtered_or_not, total(totals, "traces") + total(totals, "not_sampled"));
}

#[test]
fn of_a_port() {
    // p1 has the number 2.
    for wanted in [&["--port", "p1"][..], &["--port", "2"]] {
        let (spans, totals) = replayed("tiny-56", wanted);
        let roots = roots(&spans);
        assert_eq!(roots.len(), 7);
        for root in &roots {
            assert_eq!(attribute(&root.attributes, "ovs.port.name").as_deref(), Some("p1"));
            assert_eq!(attribute(&root.attributes, "ovs.port.number").as_deref(), Some("2"));
        }
        assert_accounted(&totals, roots.len());
    }
    let (spans, totals) = replayed("tiny-56", &["--port", "p2", "--port", "4"]);
    assert_accounted(&totals, roots(&spans).len());
    assert_eq!(total(&totals, "filtered"), 7);
}

#[test]
fn of_a_thread() {
    let (spans, totals) = replayed("tiny-56", &["--thread", "handler2"]);
    let roots = roots(&spans);
    assert_eq!(roots.len(), 7);
    for root in &roots {
        assert_eq!(attribute(&root.attributes, "thread.name").as_deref(), Some("handler2"));
    }
    assert_accounted(&totals, 7);
}

#[test]
fn of_a_datapath() {
    for (name, traces) in [("ovs-system", 12), ("system@ovs-system", 12), ("ovs-netdev", 0)] {
        let (mut command, args) = (replay(recording("tiny-56")), ["--output", "/dev/null"]);
        let totals = Run::of(command.args(args).args(["--datapath", name])).exits(0).json();
        assert_accounted(&totals, traces);
    }
}

#[test]
fn of_a_duration() {
    let nanoseconds = |span: &Span| span.end_time_unix_nano - span.start_time_unix_nano;
    let (all, _) = replayed("small-335", &[]);
    let (long, totals) = replayed("small-335", &["--min-duration", "10ms"]);
    let expected = roots(&all).into_iter().filter(|root| nanoseconds(root) >= 10_000_000).count();
    let long = roots(&long);
    assert!(long.iter().all(|root| nanoseconds(root) >= 10_000_000));
    assert_eq!(long.len(), expected);
    assert!((1..67).contains(&long.len()));
    assert_accounted(&totals, long.len());
}

#[test]
fn none_of_a_port_that_is_not_there() {
    let args = ["--output", "/dev/null", "--port", "nosuch"];
    let run = Run::of(replay_for_people(recording("tiny-56")).args(args)).exits(0);
    insta::assert_snapshot!(run.stdout, @r"
    12 upcalls became 0 traces of 0 spans (12 filtered out, 0 not sampled)
    no upcall passed the filter: upspan report shows ports and threads
    output: 0 spans: 0 delivered, 0 rejected, 0 failed
    ");
}

#[test]
fn a_share() {
    let args = ["--sample", "0.5", "--seed", "1", "--port", "p1"];
    let (spans, totals) = replayed("medium-10686", &args);
    let traces = roots(&spans).len();
    assert_accounted(&totals, traces);
    // 973 upcalls; the seed makes the choice.
    assert!((400..=570).contains(&traces), "{traces}");
    // Three packets say of themselves that their traces are sampled.
    for (ratio, traces) in [("0", 3), ("1", 67)] {
        let (mut command, args) = (replay(recording("small-335")), ["--output", "/dev/null"]);
        let totals = Run::of(command.args(args).args(["--sample", ratio])).exits(0).json();
        assert_accounted(&totals, traces);
    }
}

#[test]
fn a_share_that_the_environment_sets() {
    let mut command = replay(recording("small-335"));
    command.args(["--output", "/dev/null"]).env("OTEL_TRACES_SAMPLER", "always_off");
    assert_accounted(&Run::of(&mut command).exits(0).json(), 0);
    assert_accounted(&Run::of(command.args(["--sample", "1"])).exits(0).json(), 67);
    let wrong = Run::of(replay(recording("small-335")).env("OTEL_TRACES_SAMPLER", "sometimes"));
    wrong.exits(1).says("OTEL_TRACES_SAMPLER=`sometimes` is not known here");
}

#[test]
fn the_same_ids() {
    let same = |seed| {
        let args = ["--output", "-", "--timestamps", "original", "--seed", seed];
        Run::of(replay(recording("small-335")).args(args)).exits(0).stdout
    };
    let one = same("1");
    assert!(!one.is_empty());
    assert!(one == same("1"));
    assert!(one != same("2"));
    let trace_ids = |args: &[&str]| -> Vec<_> {
        replayed("tiny-56", args).0.into_iter().map(|span| span.trace_id).collect()
    };
    assert_ne!(trace_ids(&[]), trace_ids(&[]));
}
