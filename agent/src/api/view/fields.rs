//! An upcall as JSON, and as lines `key: value`.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use humantime::format_rfc3339_nanos;
use serde::{Serialize, Serializer};
use serde_json::Value;
use upspan_proto::v1;
use upspan_proto::v1::get_upcalls_response::Response;

use super::event_kind;
use crate::report::terminal::plain;

/// Fields in the order in which they are shown. What is not known is left out.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
struct Fields(#[serde(serialize_with = "as_map")] Vec<(String, Field)>);

/// What a field holds.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Field {
    Value(Value),
    Fields(Fields),
}

/// A map in the order of its entries.
fn as_map<S: Serializer>(fields: &[(String, Field)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, field)| (name, field)))
}

impl Fields {
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.push((name.to_owned(), Field::Value(value.into())));
    }

    fn add_fields(&mut self, name: &str, fields: Self) {
        if !fields.0.is_empty() {
            self.0.push((name.to_owned(), Field::Fields(fields)));
        }
    }

    fn add_text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.add(name, text);
        }
    }

    fn add_number(&mut self, name: &str, number: impl Into<Option<u32>>) {
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
        let (mut missing, mut phases, mut events) = <(Self, Self, Self)>::default();
        for event in &upcall.missing {
            if let Some(kind) = event_kind(event.kind()) {
                missing.add(kind.name(), &*event.reason);
            }
        }
        fields.add_fields("missing", missing);
        for phase in &upcall.phases {
            phases.add(&phase.name, phase.duration_ns);
        }
        fields.add_fields("phases_ns", phases);
        if let Some(overhead) = upcall.overhead_ns {
            fields.add("overhead_ns", overhead);
        }
        if let Some(failure) = &upcall.failure {
            fields.add("errno", failure.errno);
            fields.add_text("failure", &failure.message);
        }
        for event in &upcall.events {
            if let Some(kind) = event_kind(event.kind()) {
                events.add_fields(kind.name(), Self::of_event(event));
            }
        }
        fields.add_fields("events", events);
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

    fn of_event(event: &v1::Event) -> Self {
        let mut fields = Self::default();
        fields.add("time", time(event.time_unix_ns));
        fields.add("ordinal", event.ordinal);
        fields.add("cpu", event.cpu);
        fields.add("thread_name", &*event.thread_name);
        fields.add("thread_id", event.thread_id);
        fields
    }

    fn of_lost(lost: &v1::Lost) -> Self {
        let (mut fields, mut whole) = <(Self, Self)>::default();
        fields.add_text("source", &name(lost.source().as_str_name(), "LOST_SOURCE_"));
        fields.add("count", lost.count);
        fields.add_text("kind", event_kind(lost.kind()).map_or("", |kind| kind.name()));
        whole.add_fields("lost", fields);
        whole
    }

    /// As lines; keys of what is within another are joined by dots.
    fn write_lines(&self, within: &str, text: &mut String) {
        for (name, field) in &self.0 {
            let key = plain(format!("{within}{name}").into()).into_owned();
            match field {
                Field::Fields(fields) => fields.write_lines(&format!("{key}."), text),
                Field::Value(Value::String(value)) => {
                    *text += &format!("{key}: {}\n", plain(value.into()));
                }
                Field::Value(value) => *text += &format!("{key}: {value}\n"),
            }
        }
    }
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

/// An element of a stream as a JSON object: an upcall, or `{"lost": …}`.
///
/// # Errors
/// None in practice: all of it can be written as JSON.
pub fn json(response: &Response) -> serde_json::Result<String> {
    serde_json::to_string(&match response {
        Response::Upcall(upcall) => Fields::of(upcall),
        Response::Lost(lost) => Fields::of_lost(lost),
    })
}

/// An upcall as lines `key: value`. Keys of what is within another are joined by dots.
#[must_use]
pub fn dict(upcall: &v1::Upcall) -> String {
    let mut text = String::new();
    Fields::of(upcall).write_lines("", &mut text);
    text
}
