//! What a root span says about its upcall.

use super::errno;
use super::lineage::Lineage;
use super::names;
use super::wire::Attributes;
use crate::enrich::flow_key::FlowKey;
use crate::enrich::headers::Headers;
use crate::event::{EventHead, FlowKeyBytes, Packet};
use crate::ports::{DatapathId, PortNo, Ports};
use crate::upcall::{FailedUpcall, Upcall};

/// Attributes of the root span.
pub(super) fn root(upcall: &Upcall<'_>, headers: &Headers, ports: &Ports, to: &mut Attributes<'_>) {
    port(upcall.datapath, upcall.port(), ports, to);
    to.string(names::UPCALL_TYPE, upcall.upcall_type.name());
    completeness(upcall, to);
    if let Some(overhead) = upcall.overhead_ns() {
        to.int(names::UPCALL_OVERHEAD, overhead);
    }
    to.int(names::BATCH_SIZE, upcall.batch.size);
    to.int(names::BATCH_INDEX, upcall.batch.index);
    to.int(names::HANDLER_TID, upcall.recv.tid.0);
    to.string(names::THREAD_NAME, &upcall.recv.comm.to_str_lossy());
    flow_key(upcall.key, to);
    packet(&upcall.packet, headers, to);
}

/// Attributes of the root span of an upcall that was not delivered.
pub(super) fn failed(
    failed: &FailedUpcall<'_>,
    headers: &Headers,
    ports: &Ports,
    to: &mut Attributes<'_>,
) {
    port(failed.datapath, Some(failed.port), ports, to);
    to.string(names::UPCALL_TYPE, failed.upcall_type.name());
    to.bool(names::UPCALL_COMPLETE, false);
    to.string(names::ERROR_TYPE, errno::name(failed.errno));
    packet(&failed.packet, headers, to);
}

/// How the root span was tied to a span of the application, if it was.
pub(super) fn correlation(lineage: &Lineage, to: &mut Attributes<'_>) {
    if let Some(context) = lineage.context() {
        to.string(names::CORRELATION_METHOD, context.method().name());
    }
}

/// Attributes of a span event.
pub(super) fn event(head: &EventHead, to: &mut Attributes<'_>) {
    to.int(names::CPU, head.cpu.0);
    to.int(names::THREAD_ID, head.tid.0);
    to.string(names::THREAD_NAME, &head.comm.to_str_lossy());
}

fn port(datapath: DatapathId, port: Option<PortNo>, ports: &Ports, to: &mut Attributes<'_>) {
    to.string(names::DATAPATH_NAME, ports.datapath_name(datapath));
    let Some(number) = port else { return };
    to.int(names::PORT_NUMBER, number.0);
    if let Some(name) = ports.name(datapath, number) {
        to.string(names::PORT_NAME, name);
        to.string(names::INTERFACE_NAME, name);
    }
}

fn completeness(upcall: &Upcall<'_>, to: &mut Attributes<'_>) {
    to.bool(names::UPCALL_COMPLETE, upcall.is_complete());
    if !upcall.is_complete() {
        to.strings(names::UPCALL_MISSING, upcall.missing.iter().map(|(kind, _)| kind.name()));
        to.strings(
            names::UPCALL_MISSING_REASON,
            upcall.missing.iter().map(|(_, reason)| reason.name()),
        );
    }
    if let Some(kernel) = &upcall.kernel {
        to.string(names::UPCALL_MATCH, kernel.matched.name());
        if let Some(segment) = kernel.gso_segment {
            to.int(names::GSO_SEGMENT, segment);
        }
    }
}

fn flow_key(bytes: FlowKeyBytes<'_>, to: &mut Attributes<'_>) {
    if bytes.bytes.is_empty() {
        return;
    }
    let key = FlowKey::new(bytes);
    if let Some(id) = key.recirc_id() {
        to.int(names::RECIRC_ID, id);
    }
    if let Some(state) = key.ct_state().filter(|state| state.is_tracked()) {
        to.display(names::CT_STATE, state);
        if let Some(zone) = key.ct_zone() {
            to.int(names::CT_ZONE, zone);
        }
    }
    to.display(names::FLOW_KEY, key);
}

/// Lengths and what the headers say; never the payload.
fn packet(packet: &Packet<'_>, headers: &Headers, to: &mut Attributes<'_>) {
    to.int(names::PACKET_LENGTH, packet.len);
    to.int(names::PACKET_CAPTURED_LENGTH, i64::try_from(packet.bytes.len()).unwrap_or(i64::MAX));
    if let Some(kind) = headers.network_type() {
        to.string(names::NETWORK_TYPE, kind);
    }
    if let Some(transport) = headers.network_transport() {
        to.string(names::NETWORK_TRANSPORT, transport);
    }
    if let Some(address) = headers.source {
        to.display(names::SOURCE_ADDRESS, address);
    }
    if let Some(port) = headers.source_port {
        to.int(names::SOURCE_PORT, port);
    }
    if let Some(address) = headers.destination {
        to.display(names::DESTINATION_ADDRESS, address);
    }
    if let Some(port) = headers.destination_port {
        to.int(names::DESTINATION_PORT, port);
    }
}
