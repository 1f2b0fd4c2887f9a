//! A server made of Python's grpcio and opentelemetry-proto, which prints what it decodes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{LONG, Program, installed};
use crate::sent::{Spans, by_id, replay};

/// Replays a recording to the server, and compares every field of every span. Gives them, and the
/// number of requests that they came in.
fn every_span_arrives(recording: &str, arguments: &[&str]) -> (Spans, usize) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("third_party/otlp_server.py");
    let server = Program::start(Command::new(installed("python")).arg("-I").arg(script));
    let port = server.line(LONG).expect("it starts in time").expect("it prints its port");
    let sent = replay(recording, &format!("http://127.0.0.1:{port}"), arguments);
    let requests = server.finish(|server| drop(server.stdin.take()));
    let received = by_id(requests.iter().map(|request| serde_json::from_str(request).unwrap()));
    assert_eq!(received.len(), sent.len());
    for (id, sent) in &sent {
        assert_eq!(received.get(id), Some(sent));
    }
    (received, requests.len())
}

#[test]
fn plain_requests_are_decoded() {
    let (spans, _) = every_span_arrives("small-335", &[]);
    assert_eq!(spans.len(), 402);
}

#[test]
fn links_are_decoded() {
    let (spans, _) = every_span_arrives("small-335", &["--context-mode", "link"]);
    let links = |span: &Value| span["span"]["links"].as_array().unwrap().clone();
    let links: Vec<_> = spans.values().flat_map(links).collect();
    assert_eq!(links.len(), 3, "three requests carry a trace context");
    for link in links {
        assert!(link["traceId"].as_str().unwrap().starts_with("0af7651916cd43dd8448eb211c00000"));
        assert_eq!((&link["traceState"], &link["flags"]), (&"ovs=feas".into(), &0x301.into()));
    }
}

#[test]
fn compressed_requests_are_decoded() {
    let (spans, _) = every_span_arrives("small-335", &["--compression", "gzip"]);
    assert_eq!(spans.len(), 402);
}

#[test]
fn many_requests_are_decoded() {
    let batches = ["--compression", "gzip", "--batch-spans", "500"];
    let (spans, requests) = every_span_arrives("mix-4319", &batches);
    assert!(requests >= spans.len().div_ceil(500));
}

#[test]
fn arrays_are_decoded() {
    // The recording ends amid upcalls: their missing events are listed.
    let (spans, _) = every_span_arrives("mix-4319", &["--stop", "333"]);
    let attributes = spans.values().flat_map(|span| span["span"]["attributes"].as_array().unwrap());
    let mut missing = attributes.filter(|attribute| attribute["key"] == "ovs.upcall.missing");
    assert!(missing.any(|missing| missing["value"]["arrayValue"]["values"].is_array()));
}
