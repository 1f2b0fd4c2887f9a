//! Every name that spans, span events, resource and scope use, each with type and example.
//!
//! Names follow the OpenTelemetry semantic conventions where these have one, and start with `ovs.`
//! otherwise. docs/attributes.md lists the same; a test holds the two together.

use std::fmt;
use std::marker::PhantomData;

/// Name of the instrumentation scope.
pub const SCOPE_NAME: &str = "upspan";
/// Version of the instrumentation scope.
pub const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of the semantic conventions that the names are taken from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.40.0";

/// Name of the root span; those of its children are [`PhaseKind::name`], and the names of span
/// events are [`EventKind::name`].
///
/// [`PhaseKind::name`]: crate::phases::PhaseKind::name
/// [`EventKind::name`]: crate::event::EventKind::name
pub const ROOT_SPAN: &str = "upcall";

/// Name of the span in an application's trace that stands for an upcall.
pub const APP_SPAN: &str = "ovs upcall";

/// Datapath, without vswitchd's prefix `system@`.
pub const DATAPATH_NAME: Attribute<str> =
    Attribute::new("ovs.datapath.name", Place::Root, "ovs-system");
/// Port that the packet came in by.
pub const PORT_NUMBER: Attribute<i64> = Attribute::new("ovs.port.number", Place::Root, "2");
/// Its name in Open vSwitch.
pub const PORT_NAME: Attribute<str> = Attribute::new("ovs.port.name", Place::Root, "p1");
/// The same name, under the name that other telemetry of the node uses.
pub const INTERFACE_NAME: Attribute<str> =
    Attribute::new("network.interface.name", Place::Root, "p1");
/// Type of the upcall.
pub const UPCALL_TYPE: Attribute<str> = Attribute::new("ovs.upcall.type", Place::Root, "miss");
/// Whether all events that an upcall like this has were found.
pub const UPCALL_COMPLETE: Attribute<bool> =
    Attribute::new("ovs.upcall.complete", Place::Root, "false");
/// Events that are missing.
pub const UPCALL_MISSING: Attribute<[&str]> =
    Attribute::new("ovs.upcall.missing", Place::Root, "[\"dp_upcall\"]");
/// Why each of them is missing, in the same order.
pub const UPCALL_MISSING_REASON: Attribute<[&str]> =
    Attribute::new("ovs.upcall.missing_reason", Place::Root, "[\"not_seen\"]");
/// How the kernel's side was found to belong to vswitchd's.
pub const UPCALL_MATCH: Attribute<str> = Attribute::new("ovs.upcall.match", Place::Root, "bytes");
/// Why the kernel could not deliver the upcall.
pub const ERROR_TYPE: Attribute<str> = Attribute::new("error.type", Place::Root, "ENOBUFS");
/// From `dp_upcall` to `ovs_pkt_exec`, less the lookup.
pub const UPCALL_OVERHEAD: Attribute<i64> =
    Attribute::new("ovs.upcall.overhead_ns", Place::Root, "81250");
/// Upcalls in the batch.
pub const BATCH_SIZE: Attribute<i64> = Attribute::new("ovs.batch.size", Place::Root, "12");
/// Position in the batch.
pub const BATCH_INDEX: Attribute<i64> = Attribute::new("ovs.batch.index", Place::Root, "0");
/// Thread that handled the upcall.
pub const HANDLER_TID: Attribute<i64> = Attribute::new("ovs.handler.tid", Place::Root, "199");
/// Recirculation id of the flow key.
pub const RECIRC_ID: Attribute<i64> = Attribute::new("ovs.recirc_id", Place::Root, "0");
/// Connection tracking state of the flow key, if the packet was tracked.
pub const CT_STATE: Attribute<str> = Attribute::new("ovs.ct_state", Place::Root, "new|trk");
/// Connection tracking zone of the flow key, if the packet was tracked.
pub const CT_ZONE: Attribute<i64> = Attribute::new("ovs.ct_zone", Place::Root, "5");
/// The whole flow key.
pub const FLOW_KEY: Attribute<str> =
    Attribute::new("ovs.flow.key", Place::Root, "recirc_id(0),in_port(2),eth_type(0x0806)");
/// Length of the packet.
pub const PACKET_LENGTH: Attribute<i64> = Attribute::new("ovs.packet.length", Place::Root, "1500");
/// How much of it was captured.
pub const PACKET_CAPTURED_LENGTH: Attribute<i64> =
    Attribute::new("ovs.packet.captured_length", Place::Root, "64");
/// Which segment of a GSO packet the upcall is.
pub const GSO_SEGMENT: Attribute<i64> = Attribute::new("ovs.gso.segment", Place::Root, "3");
/// How the span of the application was found that the upcall is tied to.
pub const CORRELATION_METHOD: Attribute<str> =
    Attribute::new("ovs.correlation.method", Place::Root, "traceparent");
/// How certain that is, where it was inferred.
pub const CORRELATION_CONFIDENCE: Attribute<str> =
    Attribute::new("ovs.correlation.confidence", Place::Root, "exact");
/// Network layer.
pub const NETWORK_TYPE: Attribute<str> = Attribute::new("network.type", Place::Root, "ipv4");
/// Transport layer.
pub const NETWORK_TRANSPORT: Attribute<str> =
    Attribute::new("network.transport", Place::Root, "udp");
/// Source address of the packet.
pub const SOURCE_ADDRESS: Attribute<str> =
    Attribute::new("source.address", Place::Root, "10.0.0.1");
/// Source port of the packet.
pub const SOURCE_PORT: Attribute<i64> = Attribute::new("source.port", Place::Root, "44553");
/// Destination address of the packet.
pub const DESTINATION_ADDRESS: Attribute<str> =
    Attribute::new("destination.address", Place::Root, "10.0.0.2");
/// Destination port of the packet.
pub const DESTINATION_PORT: Attribute<i64> =
    Attribute::new("destination.port", Place::Root, "8960");
/// Name of the thread.
pub const THREAD_NAME: Attribute<str> =
    Attribute::new("thread.name", Place::RootAndEvents, "handler1");
/// Kernel thread id.
pub const THREAD_ID: Attribute<i64> = Attribute::new("thread.id", Place::Events, "199");
/// Logical CPU number.
pub const CPU: Attribute<i64> = Attribute::new("cpu.logical_number", Place::Events, "1");
/// What the spans are about.
pub const SERVICE_NAME: Attribute<str> =
    Attribute::new("service.name", Place::Resource, "openvswitch");
/// Version of what reports them.
pub const SERVICE_VERSION: Attribute<str> =
    Attribute::new("service.version", Place::Resource, "0.1.0");
/// Host on which upspan runs.
pub const HOST_NAME: Attribute<str> = Attribute::new("host.name", Place::Resource, "worker-3");
/// Kubernetes node on which upspan runs.
pub const K8S_NODE_NAME: Attribute<str> =
    Attribute::new("k8s.node.name", Place::Resource, "worker-3");

/// All attributes, in the order of the documentation.
pub const ATTRIBUTES: [Entry; 36] = [
    DATAPATH_NAME.entry(),
    PORT_NUMBER.entry(),
    PORT_NAME.entry(),
    INTERFACE_NAME.entry(),
    UPCALL_TYPE.entry(),
    UPCALL_COMPLETE.entry(),
    UPCALL_MISSING.entry(),
    UPCALL_MISSING_REASON.entry(),
    UPCALL_MATCH.entry(),
    ERROR_TYPE.entry(),
    UPCALL_OVERHEAD.entry(),
    BATCH_SIZE.entry(),
    BATCH_INDEX.entry(),
    HANDLER_TID.entry(),
    RECIRC_ID.entry(),
    CT_STATE.entry(),
    CT_ZONE.entry(),
    FLOW_KEY.entry(),
    PACKET_LENGTH.entry(),
    PACKET_CAPTURED_LENGTH.entry(),
    GSO_SEGMENT.entry(),
    CORRELATION_METHOD.entry(),
    CORRELATION_CONFIDENCE.entry(),
    NETWORK_TYPE.entry(),
    NETWORK_TRANSPORT.entry(),
    SOURCE_ADDRESS.entry(),
    SOURCE_PORT.entry(),
    DESTINATION_ADDRESS.entry(),
    DESTINATION_PORT.entry(),
    THREAD_NAME.entry(),
    THREAD_ID.entry(),
    CPU.entry(),
    SERVICE_NAME.entry(),
    SERVICE_VERSION.entry(),
    HOST_NAME.entry(),
    K8S_NODE_NAME.entry(),
];

/// An attribute whose values have the type `T`: `str`, `i64`, `bool` or `[&str]`. Only values of
/// that type can be written under its name.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<T: ?Sized> {
    name: &'static str,
    place: Place,
    example: &'static str,
    value: PhantomData<T>,
}

impl<T: ?Sized> Attribute<T> {
    const fn new(name: &'static str, place: Place, example: &'static str) -> Self {
        Self { name, place, example, value: PhantomData }
    }

    /// The attribute's key.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T: AttributeType + ?Sized> Attribute<T> {
    const fn entry(&self) -> Entry {
        Entry { name: self.name, value: T::NAME, place: self.place, example: self.example }
    }
}

/// A type that attributes can have.
pub trait AttributeType {
    /// As the semantic conventions call the type.
    const NAME: &'static str;
}

impl AttributeType for str {
    const NAME: &'static str = "string";
}

impl AttributeType for i64 {
    const NAME: &'static str = "int";
}

impl AttributeType for bool {
    const NAME: &'static str = "boolean";
}

impl AttributeType for [&str] {
    const NAME: &'static str = "string[]";
}

/// What is documented of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub name: &'static str,
    /// Type of its values, as the semantic conventions call it.
    pub value: &'static str,
    /// Where it is found.
    pub place: Place,
    /// A value.
    pub example: &'static str,
}

/// Where an attribute is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the root span.
    Root,
    /// On span events.
    Events,
    /// On both.
    RootAndEvents,
    /// In the resource.
    Resource,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Root => "root span",
            Self::Events => "span events",
            Self::RootAndEvents => "root span, span events",
            Self::Resource => "resource",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::phases::PhaseKind;

    const DOCUMENT: &str = include_str!("../../../docs/attributes.md");

    /// A bar within a cell, which Markdown wants escaped, while a line is split into cells.
    const BAR: &str = "\0";

    /// The cells of all table rows below a heading, backticks removed.
    fn rows(heading: &str) -> Vec<Vec<String>> {
        DOCUMENT
            .lines()
            .skip_while(|line| *line != format!("## {heading}"))
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let line = line.replace("\\|", BAR);
                let cells = line.trim_matches('|').split('|');
                cells.map(|cell| cell.trim().trim_matches('`').replace(BAR, "|")).collect()
            })
            .collect()
    }

    #[test]
    fn document_lists_exactly_the_attributes() {
        let documented: Vec<[String; 4]> = rows("Attributes")
            .into_iter()
            .map(|row| {
                let [name, value, place, example, meaning] =
                    <[String; 5]>::try_from(row).expect("five columns");
                assert!(!meaning.is_empty(), "{name} wants a meaning");
                [name, value, place, example]
            })
            .collect();
        let known = ATTRIBUTES.map(|entry| {
            [
                entry.name.to_owned(),
                entry.value.to_owned(),
                entry.place.to_string(),
                entry.example.to_owned(),
            ]
        });
        assert_eq!(documented, known);
    }

    #[test]
    fn document_lists_exactly_the_spans() {
        let documented: Vec<_> = rows("Spans").into_iter().map(|row| row[0].clone()).collect();
        let known: Vec<_> = [ROOT_SPAN]
            .into_iter()
            .chain(PhaseKind::ALL.map(PhaseKind::name))
            .chain([APP_SPAN])
            .collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn document_lists_exactly_the_span_events() {
        let mut documented: Vec<_> =
            rows("Span events").into_iter().map(|row| row[0].clone()).collect();
        let mut known = EventKind::ALL.map(EventKind::name);
        documented.sort_unstable();
        known.sort_unstable();
        assert_eq!(documented, known);
    }

    #[test]
    fn document_names_the_scope() {
        assert!(DOCUMENT.contains(&format!("`{SCOPE_NAME}`")));
        assert!(DOCUMENT.contains(SCHEMA_URL));
    }

    #[test]
    fn names_are_unique() {
        let mut names = ATTRIBUTES.map(|entry| entry.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
