//! Records of the ring buffer, as the BPF programs write them (`upspan_ebpf::record`).

use std::mem::offset_of;

use upspan_ebpf::record::{self, Head, kind};
use zerocopy::FromBytes;

use crate::event::{Comm, Cpu, EventKind, MonotonicNs, Ordinal, Pid, Tid};
use crate::ports::Ports;
use crate::source::Record;
use crate::source::recording::{Captured, RecordedEvent, RecordedFailure};

/// A record that the programs cannot have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {len} bytes and kind {kind:?} in the ring buffer is malformed")]
pub struct MalformedRecord {
    /// Its length in bytes.
    pub len: usize,
    /// The number of its kind, if it is long enough to have one.
    pub kind: Option<u32>,
}

/// A record of the ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveRecord<'a> {
    /// What a probe saw.
    Event(RecordedEvent<'a>),
    /// `ovs_dp_upcall` has returned an error.
    Failed(RecordedFailure),
}

impl<'a> LiveRecord<'a> {
    /// Reads a record, and what only the capture needs of it: its head.
    ///
    /// # Errors
    ///
    /// It is of no known kind, or shorter than it says. More bytes than it says are ignored.
    pub fn parse(record: &'a [u8]) -> Result<(Head, Self), MalformedRecord> {
        let malformed = |kind| MalformedRecord { len: record.len(), kind };
        let (head, rest) = Head::read_from_prefix(record).map_err(|_| malformed(None))?;
        let this = Self::parse_body(&head, rest).ok_or(malformed(Some(head.kind)))?;
        Ok((head, this))
    }

    fn parse_body(head: &Head, rest: &'a [u8]) -> Option<Self> {
        if head.kind == kind::UPCALL_FAILED {
            let (failed, _) = record::UpcallFailed::read_from_prefix(rest).ok()?;
            return Some(Self::Failed(RecordedFailure {
                ts: MonotonicNs(head.ts),
                cpu: Cpu(head.cpu),
                tid: Tid(head.tid),
                comm: Comm::from_bytes(&head.comm),
                dp_upcall: MonotonicNs(failed.dp_upcall),
                errno: failed.errno.saturating_neg(),
            }));
        }
        let mut event = RecordedEvent {
            ts: MonotonicNs(head.ts),
            cpu: Cpu(head.cpu),
            tid: Tid(head.tid),
            pid: Some(Pid(head.pid)),
            comm: Comm::from_bytes(&head.comm),
            ..RecordedEvent::of(EventKind::from_code(head.kind.into())?)
        };
        match event.kind {
            EventKind::DpUpcall => {
                let (body, bytes) = record::DpUpcall::read_from_prefix(rest).ok()?;
                event.upcall_type = body.upcall_cmd;
                event.datapath = name(rest, offset_of!(record::DpUpcall, datapath), 16)?;
                event.port_name = name(rest, offset_of!(record::DpUpcall, port), 16)?;
                event.packet = Captured::new(body.packet_len, packet(head, bytes)?);
                event.linear_len = match body.data_len {
                    0 => 0,
                    fragments => body.packet_len.saturating_sub(fragments),
                };
            }
            EventKind::RecvUpcall => {
                let (body, bytes) = record::RecvUpcall::read_from_prefix(rest).ok()?;
                event.upcall_type = body.upcall_type;
                event.datapath = name(rest, offset_of!(record::RecvUpcall, datapath), 32)?;
                let packet = packet(head, bytes)?;
                let key = bytes.get(packet.len()..)?.get(..head.key_captured.into())?;
                event.packet = Captured::new(body.packet_len, packet);
                event.key = Captured::new(body.key_len, key);
            }
            EventKind::OpFlowExecute => {
                let (body, bytes) = record::FlowExecute::read_from_prefix(rest).ok()?;
                event.packet = Captured::new(body.packet_len, packet(head, bytes)?);
            }
            EventKind::OpFlowPut | EventKind::OvsPktExec => {}
        }
        Some(Self::Event(event))
    }

    /// When it was written.
    #[must_use]
    pub const fn ts(&self) -> MonotonicNs {
        match self {
            Self::Event(event) => event.ts,
            Self::Failed(failure) => failure.ts,
        }
    }

    /// As a record of a source, with names looked up.
    pub fn record(&self, ordinal: Ordinal, ports: &mut Ports) -> Record<'a> {
        match *self {
            Self::Event(event) => event.record(ordinal, ports),
            Self::Failed(failure) => failure.record(),
        }
    }
}

/// The captured bytes of the packet, which follow the body.
fn packet<'a>(head: &Head, bytes: &'a [u8]) -> Option<&'a [u8]> {
    bytes.get(..head.packet_captured.into())
}

/// A name in a body, without its padding.
fn name(body: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    body.get(at..)?.get(..len)?.split(|&byte| byte == 0).next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    fn head(kind: u32) -> Head {
        Head { ts: 7, seq: 1, kind, cpu: 2, pid: 3, tid: 4, ..Head::default() }
    }

    #[test]
    fn a_dp_upcall_has_names_and_the_linear_part() {
        let mut body = record::DpUpcall { packet_len: 100, data_len: 60, ..Default::default() };
        body.datapath[..10].copy_from_slice(b"ovs-system");
        body.port[..2].copy_from_slice(b"p1");
        let head = Head { packet_captured: 4, ..head(kind::DP_UPCALL) };
        let bytes = [head.as_bytes(), body.as_bytes(), b"\x01\x02\x03\x04"].concat();
        let (_, record) = LiveRecord::parse(&bytes).expect("it is whole");
        let LiveRecord::Event(event) = record else { panic!("it is an event") };
        assert_eq!((event.datapath, event.port_name), (&b"ovs-system"[..], &b"p1"[..]));
        assert_eq!((event.linear_len, event.pid), (40, Some(Pid(3))));
        assert_eq!(event.packet, Captured::new(100, &[1, 2, 3, 4]));
    }

    #[test]
    fn a_recv_upcall_has_packet_and_key() {
        let body = record::RecvUpcall { packet_len: 3, key_len: 9, ..Default::default() };
        let head = Head { packet_captured: 3, key_captured: 2, ..head(kind::RECV_UPCALL) };
        let bytes = [head.as_bytes(), body.as_bytes(), b"abcde"].concat();
        let (_, record) = LiveRecord::parse(&bytes).expect("it is whole");
        let LiveRecord::Event(event) = record else { panic!("it is an event") };
        assert_eq!(event.packet, Captured::new(3, b"abc"));
        assert_eq!(event.key, Captured::new(9, b"de"));
        for len in 0..bytes.len() {
            assert!(LiveRecord::parse(&bytes[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_failure_names_its_dp_upcall() {
        let body = record::UpcallFailed { dp_upcall: 5, errno: -105, reserved: 0 };
        let bytes = [head(kind::UPCALL_FAILED).as_bytes(), body.as_bytes()].concat();
        let (_, record) = LiveRecord::parse(&bytes).expect("it is whole");
        let LiveRecord::Failed(failure) = record else { panic!("it is a failure") };
        assert_eq!((failure.dp_upcall, failure.errno), (MonotonicNs(5), 105));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(kind in 0_u32..8, lens: (u16, u16), rest: Vec<u8>) {
            let head = Head { packet_captured: lens.0, key_captured: lens.1, ..head(kind) };
            let bytes = [head.as_bytes(), &rest].concat();
            if let Ok((_, record)) = LiveRecord::parse(&bytes) {
                record.record(Ordinal(0), &mut Ports::default());
            }
            let _any = LiveRecord::parse(&rest);
        }
    }
}
