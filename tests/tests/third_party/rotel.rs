//! rotel, an OpenTelemetry collector, which prints the spans that go through its pipeline.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{LONG, Program, installed};
use crate::sent::replay;

/// Each span by its id, as rotel prints it, after its resource and scope.
type Printed = BTreeMap<String, String>;

/// Replays a recording to rotel, and compares what it prints of every span.
fn every_span_arrives(recording: &str, arguments: &[&str]) -> usize {
    let (rotel, address) = start();
    let sent = replay(recording, &format!("http://{address}"), arguments);
    let printed = parse(&rotel.finish(terminate));
    assert_eq!(printed.len(), sent.len());
    for (id, sent) in &sent {
        assert_eq!(printed.get(id), Some(&print(sent)));
    }
    printed.len()
}

#[test]
fn every_span_goes_through_a_collector() {
    assert_eq!(every_span_arrives("tiny-56", &[]), 72);
    assert_eq!(every_span_arrives("small-335", &[]), 402);
}

#[test]
fn every_compressed_span_goes_through_a_collector() {
    assert_eq!(every_span_arrives("tiny-56", &["--compression", "gzip"]), 72);
    assert_eq!(every_span_arrives("small-335", &["--compression", "gzip"]), 402);
}

/// Starts rotel, and waits until it listens.
fn start() -> (Program, SocketAddr) {
    // It does not say which port it got if it is asked to choose one.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let rotel = Program::start(
        Command::new(installed("rotel"))
            .env_clear()
            .env("RUST_LOG", "error")
            .arg("start")
            .args(["--otlp-grpc-endpoint", &free.to_string()])
            .args(["--otlp-http-endpoint", "127.0.0.1:0", "--exporter", "blackhole"])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"]),
    );
    let deadline = Instant::now() + LONG;
    while TcpStream::connect(free).is_err() {
        // Silent while it is well, so this only waits.
        let said = rotel.line(Duration::from_millis(20));
        assert!(said.is_err(), "it fails: {said:?}");
        assert!(Instant::now() < deadline, "it starts in time");
    }
    (rotel, free)
}

/// Asks it to end once it has worked off what it took.
fn terminate(rotel: &mut Child) {
    kill_process(Pid::from_child(rotel), Signal::TERM).unwrap();
}

/// Takes apart what rotel prints: resource and scope once, then their spans.
fn parse(lines: &[String]) -> Printed {
    let mut printed = Printed::new();
    let mut envelope = String::new();
    for block in lines.chunk_by(|_, next| !is_title(next)) {
        let (title, lines) = block.split_first().unwrap();
        let text = lines.join("\n");
        if title.starts_with("ResourceSpans #") {
            envelope = text;
        } else if title.starts_with("ScopeSpans #") {
            envelope = format!("{envelope}\n{text}");
        } else {
            let id = lines.iter().find_map(|line| line.strip_prefix("    ID             : "));
            let twin = printed.insert(id.unwrap().to_owned(), format!("{envelope}\n{text}\n"));
            assert!(twin.is_none(), "{twin:?} came twice");
        }
    }
    printed
}

fn is_title(line: &str) -> bool {
    ["ResourceSpans #", "ScopeSpans #", "Span #"].iter().any(|title| line.starts_with(title))
}

/// What rotel is to print of a span and what it came with.
fn print(sent: &Value) -> String {
    let (span, scope) = (&sent["span"], &sent["scope"]);
    assert_eq!(span["kind"], 1);
    format!(
        "Resource SchemaURL: {resource_schema}\n\
         Resource attributes:\n{resource}\
         ScopeSpans SchemaURL: {scope_schema}\n\
         InstrumentationScope {scope} {version}\n    \
             Trace ID       : {trace}\n    \
             Parent ID      : {parent}\n    \
             ID             : {id}\n    \
             Name           : {name}\n    \
             Kind           : SPAN_KIND_INTERNAL\n\
         {state}Start time: {start}\n\
         End time: {end}\n\
         {attributes}{events}",
        resource_schema = text(&sent["resource_schema"]),
        resource = attributes(&sent["resource"], "     -> "),
        scope_schema = text(&sent["scope_schema"]),
        scope = text(&scope["name"]),
        version = text(&scope["version"]),
        trace = text(&span["traceId"]),
        parent = text(&span["parentSpanId"]),
        id = text(&span["spanId"]),
        name = text(&span["name"]),
        state = titled("    TraceState     : ", line(text(&span["traceState"]))),
        start = text(&span["startTimeUnixNano"]),
        end = text(&span["endTimeUnixNano"]),
        attributes = titled("Attributes:\n", attributes(span, "     -> ")),
        events = titled("Events:\n", events(span)),
    )
}

fn events(span: &Value) -> String {
    let mut printed = String::new();
    for (index, event) in span["events"].as_array().unwrap().iter().enumerate() {
        write!(
            printed,
            "SpanEvent #{index}\n     \
                 -> Name: {name}\n     \
                 -> Timestamp: {time}\n     \
                 -> DroppedAttributesCount: 0\n     \
                 -> Attributes::\n{attributes}",
            name = text(&event["name"]),
            time = text(&event["timeUnixNano"]),
            attributes = attributes(event, "          -> "),
        )
        .unwrap();
    }
    printed
}

fn attributes(owner: &Value, indent: &str) -> String {
    let mut printed = String::new();
    for attribute in owner["attributes"].as_array().unwrap() {
        let (kind, value) = attribute["value"].as_object().unwrap().iter().next().unwrap();
        let value = match kind.as_str() {
            "stringValue" => format!("Str({})", text(value)),
            "intValue" => format!("Int({})", text(value)),
            "boolValue" => format!("Bool({value})"),
            other => panic!("{other}: no attribute of these recordings is of this type"),
        };
        writeln!(printed, "{indent}{}: {value}", text(&attribute["key"])).unwrap();
    }
    printed
}

fn line(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

/// What is empty is left out.
fn titled(title: &str, list: String) -> String {
    if list.is_empty() { list } else { format!("{title}{list}") }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
