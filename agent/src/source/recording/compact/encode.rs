//! Records as protobuf bytes, written without the structures that prost would build: those take
//! buffers of their own for each packet, key and name.
//!
//! Fields are in the order of their numbers and left out where they have their default, so the
//! bytes are those that the generated code would write. Numbers are those of recording.proto.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use upspan_proto::recording::v1 as proto;
use upspan_proto::recording::v1::record::Body;

use crate::event::EventKind;
use crate::source::recording::{
    Captured, ClockAnchor, Header, Port, RecordedEvent, RecordedFailure,
};

/// Raised with additions to the format that readers may want to know of.
const FORMAT_VERSION: u32 = 1;

/// `Record.event`.
const RECORD_EVENT: u32 = 2;

/// The number of a kind in recordings.
const fn number_of(kind: EventKind) -> proto::EventKind {
    match kind {
        EventKind::RecvUpcall => proto::EventKind::RecvUpcall,
        EventKind::DpUpcall => proto::EventKind::DpUpcall,
        EventKind::OpFlowPut => proto::EventKind::OpFlowPut,
        EventKind::OpFlowExecute => proto::EventKind::OpFlowExecute,
        EventKind::OvsPktExec => proto::EventKind::OvsPktExec,
    }
}

/// Appends a record with its length.
pub(super) fn record(buf: &mut Vec<u8>, body: Body) {
    let record = proto::Record { body: Some(body) };
    encode_varint(record.encoded_len() as u64, buf);
    record.encode_raw(buf);
}

/// Appends an event as a record with its length. `scratch` is for its bytes.
pub(super) fn event(buf: &mut Vec<u8>, scratch: &mut Vec<u8>, event: &RecordedEvent<'_>) {
    scratch.clear();
    body(scratch, event);
    let len = scratch.len() as u64;
    encode_varint(1 + encoded_len_varint(len) as u64 + len, buf);
    encode_key(RECORD_EVENT, WireType::LengthDelimited, buf);
    encode_varint(len, buf);
    buf.extend_from_slice(scratch);
}

fn body(buf: &mut Vec<u8>, event: &RecordedEvent<'_>) {
    let packet = Trimmed::of(event.packet);
    let key = Trimmed::of(event.key);
    number(buf, 1, (number_of(event.kind) as i32).unsigned_abs());
    number(buf, 2, event.ts.0);
    number(buf, 3, event.cpu.0);
    number(buf, 4, event.tid.0);
    optional(buf, 5, event.pid.map(|pid| pid.0));
    bytes(buf, 6, event.comm.as_bytes());
    number(buf, 7, event.upcall_type);
    bytes(buf, 8, event.datapath);
    bytes(buf, 9, event.port_name);
    optional(buf, 10, event.port.map(|port| port.0));
    number(buf, 11, event.packet.len);
    bytes(buf, 12, packet.bytes);
    number(buf, 13, packet.padding);
    number(buf, 14, event.linear_len);
    number(buf, 15, event.key.len);
    bytes(buf, 16, key.bytes);
    number(buf, 17, key.padding);
}

/// A capture without the NULs behind what counts of it, and how many these are.
struct Trimmed<'a> {
    bytes: &'a [u8],
    padding: u32,
}

impl<'a> Trimmed<'a> {
    fn of(captured: Captured<'a>) -> Self {
        let Captured { bytes, padding, .. } = captured;
        let valid = captured.valid().len();
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1).max(valid);
        let trimmed = u32::try_from(bytes.len() - end).unwrap_or(u32::MAX);
        Self { bytes: &bytes[..end], padding: padding.saturating_add(trimmed) }
    }
}

fn number(buf: &mut Vec<u8>, field: u32, value: impl Into<u64>) {
    let value = value.into();
    if value != 0 {
        encode_key(field, WireType::Varint, buf);
        encode_varint(value, buf);
    }
}

fn optional(buf: &mut Vec<u8>, field: u32, value: Option<u32>) {
    if let Some(value) = value {
        encode_key(field, WireType::Varint, buf);
        encode_varint(value.into(), buf);
    }
}

fn bytes(buf: &mut Vec<u8>, field: u32, value: &[u8]) {
    if !value.is_empty() {
        encode_key(field, WireType::LengthDelimited, buf);
        encode_varint(value.len() as u64, buf);
        buf.extend_from_slice(value);
    }
}

/// The header's message, with this upspan's version.
pub(super) fn header(header: &Header) -> Body {
    Body::Header(proto::Header {
        format_version: FORMAT_VERSION,
        upspan_version: env!("CARGO_PKG_VERSION").to_owned(),
        host_name: header.host_name.clone(),
        kernel_release: header.kernel_release.clone(),
        ovs_version: header.ovs_version.clone(),
        anchor: header.anchor.map(clock_anchor),
        packet_snaplen: header.packet_snaplen,
        key_snaplen: header.key_snaplen,
    })
}

const fn clock_anchor(anchor: ClockAnchor) -> proto::ClockAnchor {
    proto::ClockAnchor {
        monotonic_ns: anchor.monotonic.0,
        realtime_unix_ns: anchor.realtime_unix_ns,
    }
}

/// The message of clocks measured again.
pub(super) const fn anchor(anchor: ClockAnchor) -> Body {
    Body::Anchor(clock_anchor(anchor))
}

/// The message of some ports of a datapath.
pub(super) fn ports(datapath: &[u8], ports: &[Port]) -> Body {
    let port = |port: &Port| proto::Port {
        number: port.number.0,
        name: port.name.clone(),
        vport_type: port.vport_type,
        ifindex: port.ifindex,
        netns_id: port.netns.map(|netns| netns.0),
    };
    Body::Ports(proto::Ports {
        datapath: datapath.to_vec(),
        ports: ports.iter().map(port).collect(),
    })
}

/// The message of lost events.
pub(super) const fn lost(kind: EventKind, count: u64) -> Body {
    Body::Lost(proto::Lost { kind: number_of(kind) as i32, count })
}

/// The message of an upcall that the kernel could not deliver.
pub(super) fn failed(failure: &RecordedFailure) -> Body {
    Body::UpcallFailed(proto::UpcallFailed {
        monotonic_ns: failure.ts.0,
        cpu: failure.cpu.0,
        tid: failure.tid.0,
        comm: failure.comm.as_bytes().to_vec(),
        dp_upcall_monotonic_ns: failure.dp_upcall.0,
        errno: failure.errno.unsigned_abs(),
    })
}

/// The message of a place where events are missing.
pub(super) const fn gap() -> Body {
    Body::Gap(proto::Gap {})
}

/// The message behind the last event.
pub(super) const fn end(events: u64) -> Body {
    Body::End(proto::End { events })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::event::{Comm, Cpu, MonotonicNs, Pid, Tid};
    use crate::ports::PortNo;

    /// What the generated code writes.
    fn generated(event: proto::Event) -> Vec<u8> {
        let mut buf = Vec::new();
        record(&mut buf, Body::Event(event));
        buf
    }

    proptest! {
        #[test]
        fn events_are_what_the_generated_code_writes(
            kind in select(EventKind::ALL.to_vec()),
            ts: u64,
            (cpu, tid, pid, number) in any::<(u32, u32, Option<u32>, Option<u32>)>(),
            (upcall_type, linear_len) in any::<(u32, u32)>(),
            (comm, datapath, name) in ("[a-z0-9/]{0,15}", "[a-z@]{0,31}", "[a-z0-9]{0,15}"),
            packet in vec(1..=u8::MAX, 0..300),
            key in option::of(vec(1..=u8::MAX, 0..300)),
            (len, padding) in any::<(u32, u32)>(),
        ) {
            let key = key.unwrap_or_default();
            let ours = RecordedEvent {
                kind,
                ts: MonotonicNs(ts),
                cpu: Cpu(cpu),
                tid: Tid(tid),
                pid: pid.map(Pid),
                comm: Comm::from_bytes(comm.as_bytes()),
                upcall_type,
                datapath: datapath.as_bytes(),
                port_name: name.as_bytes(),
                port: number.map(PortNo),
                packet: Captured { len, bytes: &packet, padding },
                linear_len,
                key: Captured { len: 0, bytes: &key, padding: 0 },
            };
            let mut buf = Vec::new();
            super::event(&mut buf, &mut Vec::new(), &ours);
            prop_assert_eq!(buf, generated(proto::Event {
                kind: number_of(kind).into(),
                monotonic_ns: ts,
                cpu,
                tid,
                pid,
                comm: comm.into(),
                upcall_type,
                datapath: datapath.into(),
                port_name: name.into(),
                port_number: number,
                packet_len: len,
                packet,
                packet_padding: padding,
                linear_len,
                key_len: 0,
                key,
                key_padding: 0,
            }));
        }
    }

    #[test]
    fn only_nuls_behind_what_counts_are_padding() {
        for (len, bytes, kept, padding) in [
            (0, &b""[..], 0, 0),
            (2, b"ab", 2, 0),
            (2, b"ab\0\0\0", 2, 3),
            (4, b"ab\0\0\0", 4, 1),
            (9, b"ab\0\0\0", 5, 0),
            (2, b"ab\0stale\0", 8, 1),
            (0, b"\0\0\0", 0, 3),
        ] {
            let trimmed = Trimmed::of(Captured::new(len, bytes));
            assert_eq!((trimmed.bytes.len(), trimmed.padding), (kept, padding), "{len} {bytes:?}");
        }
    }
}
