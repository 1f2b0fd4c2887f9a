//! Upcalls as messages of the API.

use upspan_proto::v1;

use super::entry::{Entry, Outcome};
use super::filter::Completeness;
use super::ring::Sequence;
use crate::enrich::headers::Headers;
use crate::event::{EventHead, EventKind, UpcallType};
use crate::per_kind::PerKind;
use crate::report::Distribution;
use crate::trace::{TimeAnchor, errno};
use crate::upcall::{FailedUpcall, MatchMethod, Upcall};

/// A kept upcall, with its place.
pub(super) fn upcall(sequence: Sequence, entry: &Entry) -> v1::Upcall {
    let message = v1::Upcall {
        sequence,
        start_unix_ns: entry.start_unix_ns(),
        start_monotonic_ns: entry.start().0,
        duration_ns: entry.duration_ns(),
        datapath: entry.datapath.as_str().to_owned(),
        port_number: entry.port().map(|port| port.0),
        port_name: entry.port_name.map(|name| name.as_str().to_owned()).unwrap_or_default(),
        packet: Some(packet(entry)),
        completeness: completeness(Completeness::of(entry)).into(),
        trace_id: entry.trace_id.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        ..v1::Upcall::default()
    };
    match &entry.outcome {
        Outcome::Handled(upcall) => handled(message, upcall, entry.anchor),
        Outcome::Failed(failed) => self::failed(message, failed, entry.anchor),
    }
}

fn handled(message: v1::Upcall, upcall: &Upcall<'_>, anchor: TimeAnchor) -> v1::Upcall {
    let start = upcall.first().ts;
    let phase = |phase: crate::phases::Phase| v1::Phase {
        name: phase.kind.name().to_owned(),
        offset_ns: phase.start.0.saturating_sub(start.0),
        duration_ns: phase.duration_ns(),
    };
    let missing = upcall.missing.iter().map(|(kind, reason)| v1::MissingEvent {
        kind: event_kind(kind).into(),
        reason: reason.name().to_owned(),
    });
    let events = EventKind::IN_ORDER
        .into_iter()
        .filter_map(|kind| Some(event(kind, upcall.event(kind)?, anchor)));
    v1::Upcall {
        r#type: upcall_type(upcall.upcall_type).into(),
        thread_name: upcall.recv.comm.to_str_lossy().into_owned(),
        thread_id: upcall.recv.tid.0,
        batch: Some(v1::Batch { size: upcall.batch.size, index: upcall.batch.index }),
        match_method: match_method(upcall.kernel.as_ref().map(|kernel| kernel.matched)).into(),
        gso_segment: upcall.kernel.as_ref().and_then(|kernel| kernel.gso_segment),
        missing: missing.collect(),
        phases: upcall.phases().map(phase).collect(),
        events: events.collect(),
        overhead_ns: upcall.overhead_ns(),
        ..message
    }
}

fn failed(message: v1::Upcall, failed: &FailedUpcall<'_>, anchor: TimeAnchor) -> v1::Upcall {
    v1::Upcall {
        r#type: upcall_type(failed.upcall_type).into(),
        events: vec![event(EventKind::DpUpcall, &failed.head, anchor)],
        failure: Some(v1::Failure {
            errno: failed.errno.unsigned_abs(),
            message: errno::meaning(failed.errno).to_owned(),
        }),
        ..message
    }
}

fn packet(entry: &Entry) -> v1::Packet {
    let headers = entry.headers();
    v1::Packet {
        length: entry.packet_len(),
        summary: headers.to_string(),
        vlan_ids: headers.vlans.iter().flatten().map(|&id| u32::from(id)).collect(),
        ether_type: headers.ethertype.map_or(0, u32::from),
        source: headers.source.map(|address| address.to_string()).unwrap_or_default(),
        destination: headers.destination.map(|address| address.to_string()).unwrap_or_default(),
        protocol: protocol(&headers).unwrap_or_default(),
        source_port: headers.source_port.map(u32::from),
        destination_port: headers.destination_port.map(u32::from),
    }
}

fn protocol(headers: &Headers) -> Option<String> {
    let number = headers.protocol?;
    Some(headers.network_transport().map_or_else(|| number.to_string(), str::to_owned))
}

fn event(kind: EventKind, head: &EventHead, anchor: TimeAnchor) -> v1::Event {
    v1::Event {
        kind: event_kind(kind).into(),
        time_unix_ns: anchor.to_unix_ns(head.ts),
        ordinal: head.ordinal.0,
        cpu: head.cpu.0,
        thread_id: head.tid.0,
        thread_name: head.comm.to_str_lossy().into_owned(),
    }
}

/// Counts of events, in the order in which an upcall meets them.
pub(super) fn event_counts(counts: &PerKind<u64>) -> Vec<v1::EventCount> {
    let count = |(kind, &count)| v1::EventCount { kind: event_kind(kind).into(), count };
    counts.iter().map(count).collect()
}

pub(super) fn distribution(distribution: &Distribution) -> v1::Distribution {
    let empty = v1::Distribution { count: distribution.count, ..v1::Distribution::default() };
    let Some(figures) = distribution.figures else { return empty };
    v1::Distribution {
        count: distribution.count,
        min: figures.min,
        max: figures.max,
        mean: figures.mean,
        standard_deviation: figures.sd,
        median: figures.median,
        p90: figures.p90,
        p99: figures.p99,
        p999: figures.p99_9,
    }
}

pub(super) const fn event_kind(kind: EventKind) -> v1::EventKind {
    match kind {
        EventKind::DpUpcall => v1::EventKind::DpUpcall,
        EventKind::RecvUpcall => v1::EventKind::RecvUpcall,
        EventKind::OpFlowPut => v1::EventKind::OpFlowPut,
        EventKind::OpFlowExecute => v1::EventKind::OpFlowExecute,
        EventKind::OvsPktExec => v1::EventKind::OvsPktExec,
    }
}

pub(super) const fn match_method(method: Option<MatchMethod>) -> v1::MatchMethod {
    match method {
        None => v1::MatchMethod::Unspecified,
        Some(MatchMethod::Exact) => v1::MatchMethod::Exact,
        Some(MatchMethod::Bytes) => v1::MatchMethod::Bytes,
        Some(MatchMethod::Checksum) => v1::MatchMethod::Checksum,
        Some(MatchMethod::Vlan) => v1::MatchMethod::Vlan,
        Some(MatchMethod::Prefix) => v1::MatchMethod::Prefix,
    }
}

/// The reverse of [`match_method`].
pub(super) const fn method(message: v1::MatchMethod) -> Option<MatchMethod> {
    match message {
        v1::MatchMethod::Unspecified => None,
        v1::MatchMethod::Exact => Some(MatchMethod::Exact),
        v1::MatchMethod::Bytes => Some(MatchMethod::Bytes),
        v1::MatchMethod::Checksum => Some(MatchMethod::Checksum),
        v1::MatchMethod::Vlan => Some(MatchMethod::Vlan),
        v1::MatchMethod::Prefix => Some(MatchMethod::Prefix),
    }
}

const fn upcall_type(upcall_type: UpcallType) -> v1::UpcallType {
    match upcall_type {
        UpcallType::Miss => v1::UpcallType::Miss,
        UpcallType::Action => v1::UpcallType::Action,
    }
}

const fn completeness(completeness: Completeness) -> v1::Completeness {
    match completeness {
        Completeness::Complete => v1::Completeness::Complete,
        Completeness::Incomplete => v1::Completeness::Incomplete,
        Completeness::Failed => v1::Completeness::Failed,
    }
}
