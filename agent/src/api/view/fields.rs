//! An upcall as JSON, and as lines `key: value`.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use humantime::format_rfc3339_nanos;
use serde::Serialize;
use serde_json::{Map, Value, json};
use upspan_proto::v1;
use upspan_proto::v1::get_upcalls_response::Response;

use super::event_kind;
use crate::report::terminal::plain;

/// Fields in the order in which they are shown. What is not known is left out.
#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }

    fn add_text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.add(name, text);
        }
    }

    fn add_number(&mut self, name: &'static str, number: impl Into<Option<u32>>) {
        if let Some(number) = number.into() {
            self.add(name, number);
        }
    }

    fn of(upcall: &v1::Upcall) -> Self {
        let mut fields = Self::default();
        if upcall.start_unix_ns != 0 {
            fields.add("time", time(upcall.start_unix_ns));
        }
        fields.add("sequence", upcall.sequence);
        fields.add_text("trace_id", &hex(&upcall.trace_id));
        fields.add("duration_ns", upcall.duration_ns);
        fields.add_text("datapath", &upcall.datapath);
        fields.add_number("port_number", upcall.port_number);
        fields.add_text("port_name", &upcall.port_name);
        fields.add_text("type", &name(upcall.r#type().as_str_name(), "UPCALL_TYPE_"));
        fields.add_text("packet", upcall.packet.as_ref().map_or("", |packet| &packet.summary));
        if let Some(packet) = &upcall.packet {
            fields.of_packet(packet);
        }
        fields.add_text("thread_name", &upcall.thread_name);
        fields.add_number("thread_id", Some(upcall.thread_id).filter(|&id| id != 0));
        fields.add_number("batch_size", upcall.batch.map(|batch| batch.size));
        fields.add_number("batch_index", upcall.batch.map(|batch| batch.index));
        fields.add_text("match", &name(upcall.match_method().as_str_name(), "MATCH_METHOD_"));
        fields.add_number("gso_segment", upcall.gso_segment);
        let completeness = &name(upcall.completeness().as_str_name(), "COMPLETENESS_");
        fields.add_text("completeness", completeness);
        let missing = upcall.missing.iter().filter_map(|missing| {
            Some((event_kind(missing.kind())?.name().to_owned(), missing.reason.clone().into()))
        });
        fields.add_map("missing", missing.collect());
        let phases = upcall.phases.iter();
        let phases = phases.map(|phase| (phase.name.clone(), phase.duration_ns.into()));
        fields.add_map("phases_ns", phases.collect());
        if let Some(overhead) = upcall.overhead_ns {
            fields.add("overhead_ns", overhead);
        }
        if let Some(failure) = &upcall.failure {
            fields.add("errno", failure.errno);
            fields.add_text("failure", &failure.message);
        }
        fields.add_map("events", upcall.events.iter().filter_map(event).collect());
        fields
    }

    fn of_packet(&mut self, packet: &v1::Packet) {
        self.add("packet_length", packet.length);
        if !packet.vlan_ids.is_empty() {
            self.add("vlan_ids", packet.vlan_ids.clone());
        }
        self.add_number("ether_type", Some(packet.ether_type).filter(|&known| known != 0));
        self.add_text("protocol", &packet.protocol);
        self.add_text("source", &packet.source);
        self.add_number("source_port", packet.source_port);
        self.add_text("destination", &packet.destination);
        self.add_number("destination_port", packet.destination_port);
    }

    fn add_map(&mut self, name: &'static str, map: Map<String, Value>) {
        if !map.is_empty() {
            self.add(name, map);
        }
    }
}

fn event(event: &v1::Event) -> Option<(String, Value)> {
    let shown = json!({
        "ordinal": event.ordinal,
        "time": time(event.time_unix_ns),
        "cpu": event.cpu,
        "thread_id": event.thread_id,
        "thread_name": event.thread_name,
    });
    Some((event_kind(event.kind())?.name().to_owned(), shown))
}

fn time(unix_ns: u64) -> String {
    format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(unix_ns)).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string never fails.
        let _never = write!(text, "{byte:02x}");
        text
    })
}

/// The value of an enum as the report has it: without its prefix; empty where unspecified.
fn name(value: &str, prefix: &str) -> String {
    let name = value.strip_prefix(prefix).filter(|&name| name != "UNSPECIFIED");
    name.unwrap_or_default().to_ascii_lowercase()
}

impl Serialize for Fields {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// An element of a stream as a JSON object: an upcall, or `{"lost": …}`.
///
/// # Errors
/// None in practice: all of it can be written as JSON.
pub fn json(response: &Response) -> serde_json::Result<String> {
    match response {
        Response::Upcall(upcall) => serde_json::to_string(&Fields::of(upcall)),
        Response::Lost(lost) => {
            let mut fields = Fields::default();
            fields.add_text("source", &name(lost.source().as_str_name(), "LOST_SOURCE_"));
            fields.add("count", lost.count);
            fields.add_text("kind", event_kind(lost.kind()).map_or("", |kind| kind.name()));
            serde_json::to_string(&json!({ "lost": serde_json::to_value(fields)? }))
        }
    }
}

/// An upcall as lines `key: value`, with an empty line behind. Keys of maps are joined by dots.
#[must_use]
pub fn dict(upcall: &v1::Upcall) -> String {
    let mut text = String::new();
    for (name, value) in &Fields::of(upcall).0 {
        lines(name, value, &mut text);
    }
    text.push('\n');
    text
}

fn lines(key: &str, value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                lines(&format!("{key}.{name}"), value, text);
            }
        }
        Value::String(value) => *text += &format!("{key}: {}\n", plain(value.into())),
        other => *text += &format!("{key}: {other}\n"),
    }
}
