//! What `upspan replay` sends, by its own account.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upspan_tests::{fixtures, upspan};

/// Each span by its id, with the resource and the scope that it came with.
pub(crate) type Spans = BTreeMap<String, Value>;

/// Replays a recording to an endpoint with these further arguments; the spans are those that it
/// writes to a file on the way.
pub(crate) fn replay(recording: &str, endpoint: &str, arguments: &[&str]) -> Spans {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("spans.json");
    let replay = upspan()
        .arg("replay")
        .arg(fixtures::path(&format!("{recording}.events.zst")))
        .args(["--seed", "7", "--format", "json", "--quiet", "--endpoint", endpoint, "--output"])
        .arg(&output)
        .args(arguments)
        .output()
        .unwrap();
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));

    let written = std::fs::read_to_string(output).unwrap();
    let spans = by_id(written.lines().map(|line| serde_json::from_str(line).unwrap()));
    let said: Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert_eq!(said["endpoint"]["delivered"], spans.len(), "{said}");
    assert_eq!(said["endpoint"]["retries"], 0, "{said}");
    spans
}

/// The spans of requests in the OTLP JSON encoding. None of them may come twice.
pub(crate) fn by_id(requests: impl IntoIterator<Item = Value>) -> Spans {
    let mut spans = Spans::new();
    for request in requests {
        for resource in request["resourceSpans"].as_array().unwrap() {
            for scope in resource["scopeSpans"].as_array().unwrap() {
                for span in scope["spans"].as_array().unwrap() {
                    let id = span["spanId"].as_str().unwrap().to_owned();
                    let span = json!({
                        "resource": resource["resource"],
                        "resource_schema": resource["schemaUrl"],
                        "scope": scope["scope"],
                        "scope_schema": scope["schemaUrl"],
                        "span": span,
                    });
                    let twin = spans.insert(id, without_defaults(span));
                    assert!(twin.is_none(), "{twin:?} came twice");
                }
            }
        }
    }
    spans
}

/// Programs differ in whether they leave out what is absent, and counts that are 0.
fn without_defaults(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(without_defaults).collect(),
        Value::Object(fields) => {
            let there = fields.into_iter().filter(|(_, value)| !value.is_null() && *value != 0);
            there.map(|(name, value)| (name, without_defaults(value))).collect()
        }
        value => value,
    }
}
