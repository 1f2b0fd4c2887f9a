//! A server made of Python's grpcio and opentelemetry-proto, which prints what it decodes.

use std::path::Path;
use std::process::Command;

use crate::program::{LONG, Program, installed};
use crate::sent::{by_id, replay};

/// Replays a recording to the server, and compares every field of every span.
fn every_span_arrives(recording: &str, arguments: &[&str]) -> usize {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("third_party/otlp_server.py");
    let server = Program::start(Command::new(installed("python")).arg(script));
    let port = server.line(LONG).expect("it starts in time").expect("it prints its port");
    let sent = replay(recording, &format!("http://127.0.0.1:{port}"), arguments);
    let requests = server.finish(|server| drop(server.stdin.take()));
    let received = by_id(requests.iter().map(|request| serde_json::from_str(request).unwrap()));
    assert_eq!(received.len(), sent.len());
    for (id, sent) in &sent {
        assert_eq!(received.get(id), Some(sent));
    }
    requests.len()
}

#[test]
fn plain_requests_are_decoded() {
    assert_eq!(every_span_arrives("small-335", &[]), 1);
}

#[test]
fn compressed_requests_are_decoded() {
    assert_eq!(every_span_arrives("small-335", &["--compression", "gzip"]), 1);
}

#[test]
fn many_requests_are_decoded() {
    // 6,536 spans; the last batch is smaller.
    let batches = ["--compression", "gzip", "--batch-spans", "500"];
    assert_eq!(every_span_arrives("mix-4319", &batches), 14);
}

#[test]
fn what_is_missing_is_decoded() {
    // Ends within an upcall, whose missing events are arrays of strings.
    every_span_arrives("mix-4319", &["--stop", "333"]);
}
