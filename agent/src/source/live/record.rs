//! Records of the ring buffer, as the BPF programs write them (`upspan_ebpf::record`).

use upspan_ebpf::record::{self, DatapathName, Head, Introduction, kind};
use zerocopy::FromBytes;

use super::threads::Threads;
use crate::event::{Comm, Cpu, EventKind, MonotonicNs, Ordinal, Tid};
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
    pub kind: Option<u8>,
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
    /// Reads a record, and what only the capture needs of it: its head. What it tells of its thread
    /// is kept in `threads`, and what it does not tell is from there.
    ///
    /// # Errors
    ///
    /// It is of no known kind, or shorter than it says. More bytes than it says are ignored.
    pub fn parse(
        record: &'a [u8],
        threads: &'a mut Threads,
    ) -> Result<(Head, Self), MalformedRecord> {
        let malformed = |kind| MalformedRecord { len: record.len(), kind };
        let (head, rest) = Head::read_from_prefix(record).map_err(|_| malformed(None))?;
        let this = Self::parse_rest(&head, rest, threads).ok_or(malformed(Some(head.kind)))?;
        Ok((head, this))
    }

    fn parse_rest(head: &Head, mut rest: &'a [u8], threads: &'a mut Threads) -> Option<Self> {
        let (ts, cpu, tid) = (MonotonicNs(head.ts), Cpu(head.cpu.into()), Tid(head.tid));
        if head.introduces != 0 {
            let (introduction, behind) = Introduction::read_from_prefix(rest).ok()?;
            threads.introduce(tid, ts, &introduction);
            rest = behind;
        }
        if head.kind == kind::UPCALL_FAILED {
            let (failed, _) = record::UpcallFailed::read_from_prefix(rest).ok()?;
            return Some(Self::Failed(RecordedFailure {
                ts,
                cpu,
                tid,
                comm: threads.get(tid).map_or(Comm::EMPTY, |thread| thread.comm),
                dp_upcall: MonotonicNs(failed.dp_upcall),
                errno: failed.errno.saturating_neg(),
            }));
        }
        let kind = EventKind::from_code(head.kind.into())?;
        let mut event = RecordedEvent { ts, cpu, tid, ..RecordedEvent::of(kind) };
        match kind {
            EventKind::DpUpcall => {
                let (body, bytes) = record::DpUpcall::ref_from_prefix(rest).ok()?;
                event.upcall_type = body.upcall_cmd;
                event.datapath = name(&body.names);
                event.port_name = name(body.names.get(body.port_at.into()..)?);
                event.packet =
                    Captured::new(body.packet_len, bytes.get(..body.packet_captured.into())?);
                event.linear_len = match body.data_len {
                    0 => 0,
                    fragments => body.packet_len.saturating_sub(fragments),
                };
            }
            EventKind::RecvUpcall => {
                let (body, mut bytes) = record::RecvUpcall::read_from_prefix(rest).ok()?;
                if body.names != 0 {
                    let (name, behind) = DatapathName::read_from_prefix(bytes).ok()?;
                    threads.name_datapath(tid, body.datapath, name);
                    bytes = behind;
                }
                event.upcall_type = body.upcall_type;
                let packet = bytes.get(body.packet_at.into()..)?;
                let packet = packet.get(..body.packet_captured.into())?;
                event.packet = Captured::new(body.packet_len, packet);
                event.key = Captured::new(body.key_len, bytes.get(..body.key_captured.into())?);
                let thread = threads.get(tid);
                event.datapath = thread.and_then(|thread| thread.datapath(body.datapath))?;
            }
            EventKind::OpFlowExecute => {
                let (body, bytes) = record::FlowExecute::read_from_prefix(rest).ok()?;
                let captured = usize::try_from(body.packet_captured).ok()?;
                event.packet = Captured::new(body.packet_len, bytes.get(..captured)?);
            }
            EventKind::OpFlowPut | EventKind::OvsPktExec => {}
        }
        if let Some(thread) = threads.get(tid) {
            (event.pid, event.comm) = (Some(thread.pid), thread.comm);
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

/// A name without what is behind it.
fn name(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;
    use crate::event::Pid;

    fn head(kind: u8) -> Head {
        Head { ts: 7, tid: 4, cpu: 2, kind, ..Head::default() }
    }

    fn introduction() -> Introduction {
        Introduction { pid: 3, comm: *b"handler1\0\0\0\0\0\0\0\0", ..Default::default() }
    }

    fn event(record: &[u8], threads: &mut Threads, judge: impl FnOnce(&RecordedEvent<'_>)) {
        match LiveRecord::parse(record, threads).expect("it is whole") {
            (_, LiveRecord::Event(event)) => judge(&event),
            other => panic!("{other:?} is no event"),
        }
    }

    #[test]
    fn a_dp_upcall_has_names_and_the_linear_part() {
        let mut body = record::DpUpcall {
            packet_len: 100,
            data_len: 60,
            packet_captured: 4,
            port_at: 11,
            ..Default::default()
        };
        body.names[..14].copy_from_slice(b"ovs-system\0p1\0");
        let bytes = [head(kind::DP_UPCALL).as_bytes(), body.as_bytes(), &[1, 2, 3, 4]].concat();
        event(&bytes, &mut Threads::default(), |event| {
            assert_eq!((event.datapath, event.port_name), (&b"ovs-system"[..], &b"p1"[..]));
            assert_eq!((event.linear_len, event.pid), (40, None));
            assert_eq!(event.packet, Captured::new(100, &[1, 2, 3, 4]));
        });
    }

    #[test]
    fn a_recv_upcall_has_packet_and_key_and_what_was_told_before() {
        let mut threads = Threads::default();
        let mut name = DatapathName::default();
        name[..3].copy_from_slice(b"dp1");
        let body = record::RecvUpcall {
            datapath: 0x1000,
            packet_len: 3,
            key_len: 9,
            packet_captured: 3,
            key_captured: 2,
            packet_at: 4,
            names: 1,
            ..Default::default()
        };
        let told = Head { introduces: 1, ..head(kind::RECV_UPCALL) };
        let told = [told.as_bytes(), introduction().as_bytes(), body.as_bytes(), &name, b"de--abc"]
            .concat();
        let judge = |event: &RecordedEvent<'_>| {
            assert_eq!(event.packet, Captured::new(3, b"abc"));
            assert_eq!(event.key, Captured::new(9, b"de"));
            assert_eq!((event.datapath, event.pid), (&b"dp1"[..], Some(Pid(3))));
            assert_eq!(event.comm, Comm::from_bytes(b"handler1"));
        };
        for len in 0..told.len() {
            assert!(LiveRecord::parse(&told[..len], &mut Threads::default()).is_err(), "{len}");
        }
        event(&told, &mut threads, judge);
        let later = |datapath| {
            let body = record::RecvUpcall { names: 0, datapath, ..body };
            [head(kind::RECV_UPCALL).as_bytes(), body.as_bytes(), b"de--abc"].concat()
        };
        event(&later(0x1000), &mut threads, judge);
        // A name that was never told is not guessed.
        assert!(LiveRecord::parse(&later(0x2000), &mut threads).is_err());
    }

    #[test]
    fn a_failure_names_its_dp_upcall() {
        let body = record::UpcallFailed { dp_upcall: 5, errno: -105, reserved: 0 };
        let bytes = [head(kind::UPCALL_FAILED).as_bytes(), body.as_bytes()].concat();
        let mut threads = Threads::default();
        let (_, record) = LiveRecord::parse(&bytes, &mut threads).expect("it is whole");
        let LiveRecord::Failed(failure) = record else { panic!("it is a failure") };
        assert_eq!((failure.dp_upcall, failure.errno), (MonotonicNs(5), 105));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(kind in 0_u8..8, introduces: bool, rest: Vec<u8>) {
            let head = Head { introduces: introduces.into(), ..head(kind) };
            let bytes = [head.as_bytes(), &rest].concat();
            let mut threads = Threads::default();
            if let Ok((_, record)) = LiveRecord::parse(&bytes, &mut threads) {
                record.record(Ordinal(0), &mut Ports::default());
            }
            let _any = LiveRecord::parse(&rest, &mut threads);
        }
    }
}
