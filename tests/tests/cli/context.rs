//! Trace contexts that recorded packets carry.

use upspan_tests::backend::Reply;

use super::*;

/// The trace ids of the requests in small-335, and the spans that they were sent for.
const REQUESTS: [(&str, &str); 3] = [
    ("0af7651916cd43dd8448eb211c000000", "b7ad6b7169200000"),
    ("0af7651916cd43dd8448eb211c000002", "b7ad6b7169200002"),
    ("0af7651916cd43dd8448eb211c000004", "b7ad6b7169200004"),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn correlated(spans: &[Span]) -> Vec<&Span> {
    let method = |root: &Span| attribute(&root.attributes, "ovs.correlation.method");
    let correlated: Vec<_> =
        roots(spans).into_iter().filter(|root| method(root).is_some()).collect();
    assert!(correlated.iter().all(|root| method(root).as_deref() == Some("traceparent")));
    correlated
}

#[test]
fn upcalls_of_requests_arrive_in_the_applications_traces() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let run = Run::of(&mut replay_to(&backend, recording("small-335"))).exits(0).says_nothing();
    assert_eq!((&run.json()["traces"], &run.json()["not_sampled"]), (&67.into(), &0.into()));
    let spans = all_spans(&backend.rest());
    let children = correlated(&spans);
    let ids: Vec<_> =
        children.iter().map(|root| (hex(&root.trace_id), hex(&root.parent_span_id))).collect();
    let expected = REQUESTS.map(|(trace, span)| (trace.to_owned(), span.to_owned()));
    assert_eq!(ids, expected);
    for root in children {
        assert_eq!((root.flags, &*root.trace_state), (0x301, "ovs=feas"));
        assert_eq!(attribute(&root.attributes, "destination.port").as_deref(), Some("8080"));
        let in_trace: Vec<_> = spans.iter().filter(|span| span.trace_id == root.trace_id).collect();
        assert!(in_trace.len() > 1, "its phases are there, too");
        for phase in in_trace.into_iter().filter(|span| span.span_id != root.span_id) {
            assert_eq!((phase.flags, &*phase.trace_state), (0x101, "ovs=feas"));
        }
    }
    let others = roots(&spans).into_iter().filter(|root| root.parent_span_id.is_empty());
    assert_eq!(others.count(), 64, "text in UDP is no context");
}

#[test]
fn a_request_that_came_up_twice_has_two_upcalls() {
    let (spans, _) = replayed("mix-4319", &[]);
    let children = correlated(&spans);
    let traces: std::collections::BTreeSet<_> =
        children.iter().map(|root| &root.trace_id).collect();
    assert_eq!((children.len(), traces.len()), (6, 3));
}

#[test]
fn links_leave_upcalls_their_own_traces() {
    let (spans, _) = replayed("small-335", &["--context-mode", "link"]);
    let linking = correlated(&spans);
    assert_eq!(linking.len(), REQUESTS.len());
    for (root, (trace, span)) in linking.into_iter().zip(REQUESTS) {
        assert!(root.parent_span_id.is_empty());
        let [link] = &root.links[..] else { panic!("one link") };
        assert_eq!((hex(&link.trace_id), hex(&link.span_id)), (trace.into(), span.into()));
        assert_ne!(root.trace_id, link.trace_id);
        assert_eq!((link.flags, &*link.trace_state), (0x301, "ovs=feas"));
    }
}

#[test]
fn off_means_off() {
    let (spans, _) = replayed("small-335", &["--context-mode", "off"]);
    assert!(correlated(&spans).is_empty());
    assert!(spans.iter().all(|span| span.flags == 0x103 && span.links.is_empty()));
}

#[test]
fn what_the_application_does_not_sample_is_not_sampled() {
    let recording =
        text("small-335.events.zst").replace("-b7ad6b7169200002-01", "-b7ad6b7169200002-00");
    let traces = |args: &[&str], sampler: &str| {
        let mut command = replay("-");
        command.args(["--output", "/dev/null"]).args(args);
        if !sampler.is_empty() {
            command.env("OTEL_TRACES_SAMPLER", sampler);
        }
        let totals = run_with_input(&mut command, recording.as_bytes()).exits(0).json();
        assert_eq!(totals["upcalls"], 67);
        let number = |key: &str| totals[key].as_u64().unwrap();
        assert_eq!(number("traces") + number("not_sampled"), 67);
        number("traces")
    };
    assert_eq!(traces(&[], ""), 66);
    assert_eq!(traces(&["--sample", "0"], ""), 2);
    assert_eq!(traces(&[], "parentbased_always_off"), 2);
    assert_eq!(traces(&[], "always_on"), 67);
    assert_eq!(traces(&[], "always_off"), 0);
    assert_eq!(traces(&["--context-mode", "link"], ""), 67);
}
