//! What has arrived at the backend, put together to traces, and what must be true of each.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use upspan_tests::backend::{Backend, Reply};

/// A backend, and everything that it got.
pub(crate) struct Traces {
    backend: Backend,
    traces: Vec<Trace>,
}

/// A trace. Traces come whole, in one request each.
#[derive(Debug)]
pub(crate) struct Trace {
    spans: Vec<Span>,
}

impl Traces {
    /// Starts an empty one.
    pub(crate) fn start() -> Self {
        Self { backend: Backend::start(|_| Reply::Accept), traces: Vec::new() }
    }

    /// Where to send to.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.backend.address())
    }

    /// Takes what has come since. Returns all.
    pub(crate) fn update(&mut self) -> &[Trace] {
        for taken in self.backend.rest() {
            let resources = taken.request.resource_spans.into_iter();
            let spans = resources.flat_map(|one| one.scope_spans).flat_map(|one| one.spans);
            let mut by_id: HashMap<Vec<u8>, Vec<Span>> = HashMap::new();
            for span in spans {
                by_id.entry(span.trace_id.clone()).or_default().push(span);
            }
            self.traces.extend(by_id.into_values().map(|spans| Trace { spans }));
        }
        &self.traces
    }

    /// All spans that have come.
    pub(crate) fn spans(&self) -> impl Iterator<Item = &Span> {
        self.traces.iter().flat_map(|trace| &trace.spans)
    }

    /// The traces of packets to this address and port, or to one behind it.
    pub(crate) fn to(&mut self, address: IpAddr, from_port: u16) -> impl Iterator<Item = &Trace> {
        let address = address.to_string();
        self.update().iter().filter(move |trace| {
            trace.string("destination.address") == Some(&address)
                && trace.int("destination.port") >= Some(from_port.into())
        })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self.root().map_or(&[][..], |root| &root.attributes);
        for KeyValue { key, value, .. } in attributes {
            match value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Value::StringValue(value)) => write!(f, "{key}={value} ")?,
                Some(Value::IntValue(value)) => write!(f, "{key}={value} ")?,
                Some(Value::BoolValue(value)) => write!(f, "{key}={value} ")?,
                other => write!(f, "{key}={other:?} ")?,
            }
        }
        write!(f, "at {:?} ", self.start().unwrap_or(0))?;
        let names = self.spans.iter().map(|span| span.name.as_str());
        write!(f, "with the spans {}", names.collect::<Vec<_>>().join(", "))
    }
}

impl Trace {
    /// The root span.
    pub(crate) fn root(&self) -> Option<&Span> {
        self.spans.iter().find(|span| span.parent_span_id.is_empty())
    }

    /// When the upcall began, in nanoseconds since 1970.
    pub(crate) fn start(&self) -> Option<u64> {
        self.root().map(|root| root.start_time_unix_nano)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let attribute = self.root()?.attributes.iter().find(|attribute| attribute.key == key)?;
        attribute.value.as_ref()?.value.as_ref()
    }

    /// An attribute of the root span.
    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.value(key)? {
            Value::IntValue(int) => Some(*int),
            _ => None,
        }
    }

    /// An attribute of the root span.
    pub(crate) fn string(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::StringValue(string) => Some(string),
            _ => None,
        }
    }

    /// Whether the upcall says that it is complete.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.value("ovs.upcall.complete"), Some(Value::BoolValue(true)))
    }

    /// Whether it says of each missing event what it is and why.
    pub(crate) fn says_what_is_missing(&self) -> bool {
        let strings = |key| match self.value(key) {
            Some(Value::ArrayValue(array)) => array.values.len(),
            _ => 0,
        };
        let missing = strings("ovs.upcall.missing");
        missing > 0 && missing == strings("ovs.upcall.missing_reason")
    }

    /// Whether it says that this event is missing, and no other.
    pub(crate) fn lacks_only(&self, event: &str) -> bool {
        let Some(Value::ArrayValue(missing)) = self.value("ovs.upcall.missing") else {
            return false;
        };
        let is_it = |value: &AnyValue| matches!(&value.value, Some(Value::StringValue(name)) if name == event);
        matches!(&missing.values[..], [one] if is_it(one))
    }

    /// Whether it is of an upcall that the kernel could not deliver.
    pub(crate) fn is_error(&self) -> bool {
        let status = self.root().and_then(|root| root.status.as_ref());
        status.is_some_and(|status| status.code == StatusCode::Error as i32)
    }

    /// What is wrong with its spans, if something is.
    pub(crate) fn fault(&self) -> Option<String> {
        let Some(root) = self.root() else { return Some("it has no root".to_owned()) };
        if root.name != "upcall" {
            return Some(format!("its root is called {}", root.name));
        }
        let by_id: HashMap<_, _> = self.spans.iter().map(|span| (&span.span_id, span)).collect();
        for span in self.spans.iter().filter(|span| span.span_id != root.span_id) {
            let Some(parent) = by_id.get(&span.parent_span_id) else {
                return Some(format!("{} has no parent", span.name));
            };
            let lookup = by_id.values().any(|span| span.name == "lookup");
            let fits = match span.name.as_str() {
                "kernel_to_vswitchd" | "lookup" | "execute_to_kernel" => parent.name == "upcall",
                "translate" => parent.name == if lookup { "lookup" } else { "upcall" },
                "batch_wait" => parent.name == "lookup",
                name => return Some(format!("a span is called {name}")),
            };
            if !fits {
                return Some(format!("{} is a child of {}", span.name, parent.name));
            }
            let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
            if start > end || start < parent.start_time_unix_nano || end > parent.end_time_unix_nano
            {
                return Some(format!("{} reaches out of {}", span.name, parent.name));
            }
        }
        self.missing_span(root)
    }

    /// A span that must be there, as the events at its ends are.
    fn missing_span(&self, root: &Span) -> Option<String> {
        let has = |name: &str| self.spans.iter().any(|span| span.name == name);
        let saw = |name: &str| {
            self.spans
                .iter()
                .flat_map(|span| &span.events)
                .filter(|event| event.name == name)
                .count()
        };
        let events = ["dp_upcall", "recv_upcall", "op_flow_put", "op_flow_execute", "ovs_pkt_exec"];
        if let Some(twice) = events.into_iter().find(|event| saw(event) > 1) {
            return Some(format!("{twice} is there more than once"));
        }
        if self.is_error() {
            return (self.spans.len() != 1 || saw("dp_upcall") != 1)
                .then(|| "a failed upcall is more than a root with a dp_upcall".to_owned());
        }
        let [dp, recv, put, execute, packet] = events.map(|event| saw(event) == 1);
        // Where one without operations ends cannot be seen.
        let is_miss = self.string("ovs.upcall.type") == Some("miss");
        let expected = [
            ("kernel_to_vswitchd", dp && recv),
            ("lookup", recv && (put || execute && self.is_complete())),
            ("execute_to_kernel", execute && packet),
            ("translate", is_miss && self.is_complete()),
            ("batch_wait", is_miss && self.is_complete()),
        ];
        let wrong = expected.into_iter().find(|&(name, expected)| expected && !has(name))?;
        Some(format!("there is no span {} in {}", wrong.0, root.name))
    }
}
