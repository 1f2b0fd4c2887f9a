//! Reads records, and keeps what the last one said.

use std::io;

use prost::Message;
use upspan_proto::recording::v1::record::Body;
use upspan_proto::recording::v1::{self as proto, Record};

use crate::event::{Comm, Cpu, EventKind, MonotonicNs, Pid, Tid};
use crate::ports::{NetnsId, PortNo};
use crate::source::input::Stream;
use crate::source::recording::ending::Ending;
use crate::source::recording::found::Found;
use crate::source::recording::{
    Captured, ClockAnchor, DatapathPorts, Header, LineFault, LossCounts, Port, RecordedEvent,
    RecordedFailure,
};

use super::MAGIC;
use super::framing::Records;

/// Most NULs behind a capture that are taken for padding. upcall_cost.py's captures are of 2,048
/// bytes at most; without a bound, a few bytes could stand for gigabytes of the script's format.
const MAX_PADDING: u32 = 64 * 1024;

/// Key of the field `Record.event`: field 2, length-delimited.
const EVENT_KEY: u8 = 2 << 3 | 2;

/// Reads records.
pub(in super::super) struct Reader {
    records: Records,
    at_start: bool,
    /// What the last record holds. An event stays until the next record, so that its buffers can
    /// be used again.
    record: Record,
    /// Of the event in `record`.
    kind: EventKind,
    events: u64,
    header: Option<Header>,
    ports: Vec<DatapathPorts>,
    losses: LossCounts,
    anchor: ClockAnchor,
    failure: RecordedFailure,
    ended: bool,
}

/// The kind of an event by its number, if this upspan knows it.
fn kind_of(number: i32) -> Option<EventKind> {
    use proto::EventKind as Number;
    Some(match Number::try_from(number).ok()? {
        Number::Unspecified => return None,
        Number::RecvUpcall => EventKind::RecvUpcall,
        Number::DpUpcall => EventKind::DpUpcall,
        Number::OpFlowPut => EventKind::OpFlowPut,
        Number::OpFlowExecute => EventKind::OpFlowExecute,
        Number::OvsPktExec => EventKind::OvsPktExec,
    })
}

impl Reader {
    /// Of a stream that begins with [`MAGIC`].
    pub(in super::super) fn new(stream: Stream) -> Self {
        Self {
            records: Records::new(stream),
            at_start: true,
            record: Record { body: None },
            kind: EventKind::RecvUpcall,
            events: 0,
            header: None,
            ports: Vec::new(),
            losses: LossCounts::default(),
            anchor: ClockAnchor::default(),
            failure: RecordedFailure::default(),
            ended: false,
        }
    }

    /// What the next record says.
    ///
    /// # Errors
    ///
    /// What the stream reports, or where it is cut or makes no sense: nothing behind can be read.
    pub(in super::super) fn next(&mut self) -> io::Result<Found> {
        if std::mem::take(&mut self.at_start) {
            self.records.skip(MAGIC.len())?;
        }
        if self.ended {
            return self.end();
        }
        if let Some(Body::Event(event)) = &mut self.record.body {
            event.clear();
        }
        let Some(bytes) = self.records.next()? else {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it has no end: it was copied in part, or what recorded it was killed",
            ));
        };
        let is_event = bytes.first() == Some(&EVENT_KEY);
        self.events += u64::from(is_event);
        let found = match self.record.merge(bytes) {
            Ok(()) => self.found(),
            Err(_) => Err(LineFault::NoMessage),
        };
        match found {
            Ok(Found::Nothing) => self.end(),
            Ok(found) => Ok(found),
            Err(fault) => Ok(Found::Malformed { fault, is_event }),
        }
    }

    fn found(&mut self) -> Result<Found, LineFault> {
        match &self.record.body {
            Some(Body::Event(event)) => {
                let Some(kind) = kind_of(event.kind) else { return Ok(Found::Unrelated) };
                if event.packet_padding > MAX_PADDING {
                    return Err(LineFault::OutOfRange("packet_padding"));
                }
                if event.key_padding > MAX_PADDING {
                    return Err(LineFault::OutOfRange("key_padding"));
                }
                self.kind = kind;
                Ok(Found::Event)
            }
            Some(Body::Header(header)) => {
                self.header = Some(read_header(header));
                Ok(Found::Header)
            }
            Some(Body::Ports(ports)) => {
                self.ports = vec![read_ports(ports)];
                Ok(Found::Ports)
            }
            Some(Body::Lost(lost)) => {
                let Some(kind) = kind_of(lost.kind) else { return Ok(Found::Unrelated) };
                self.losses = LossCounts::default();
                self.losses[kind] = lost.count;
                Ok(Found::Losses)
            }
            Some(Body::Anchor(anchor)) => {
                self.anchor = read_anchor(anchor);
                Ok(Found::Anchor)
            }
            Some(Body::UpcallFailed(failed)) => {
                self.failure = read_failure(failed)?;
                Ok(Found::Failed)
            }
            Some(Body::Gap(proto::Gap {})) => Ok(Found::Gap),
            Some(Body::End(end)) => {
                self.ended = true;
                if end.events == self.events {
                    Ok(Found::Nothing)
                } else {
                    Err(LineFault::EventsMissing { declared: end.events, read: self.events })
                }
            }
            None => Ok(Found::Unrelated),
        }
    }

    /// Behind the record End.
    fn end(&mut self) -> io::Result<Found> {
        if self.records.at_end()? {
            return Ok(Found::Nothing);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "more follows its end"))
    }

    /// The event that was found.
    pub(in super::super) fn event(&self) -> RecordedEvent<'_> {
        let Some(Body::Event(event)) = &self.record.body else {
            return RecordedEvent::of(self.kind);
        };
        RecordedEvent {
            kind: self.kind,
            ts: MonotonicNs(event.monotonic_ns),
            cpu: Cpu(event.cpu),
            tid: Tid(event.tid),
            pid: event.pid.map(Pid),
            comm: Comm::from_bytes(&event.comm),
            upcall_type: event.upcall_type,
            datapath: &event.datapath,
            port_name: &event.port_name,
            port: event.port_number.map(PortNo),
            packet: Captured {
                len: event.packet_len,
                bytes: &event.packet,
                padding: event.packet_padding,
            },
            linear_len: event.linear_len,
            key: Captured { len: event.key_len, bytes: &event.key, padding: event.key_padding },
        }
    }

    /// The header that was found, now or before.
    pub(in super::super) const fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The ports that were found.
    pub(in super::super) fn ports(&self) -> &[DatapathPorts] {
        &self.ports
    }

    /// The losses that were found.
    pub(in super::super) const fn losses(&self) -> LossCounts {
        self.losses
    }

    /// The anchor that was found.
    pub(in super::super) const fn anchor(&self) -> ClockAnchor {
        self.anchor
    }

    /// The failure that was found.
    pub(in super::super) const fn failure(&self) -> RecordedFailure {
        self.failure
    }

    /// Number of records so far; the 1-based number of the last one.
    pub(in super::super) const fn records(&self) -> u64 {
        self.records.records()
    }

    /// Decompressed bytes of the records so far.
    pub(in super::super) const fn bytes(&self) -> u64 {
        self.records.bytes()
    }

    pub(in super::super) const fn stream(&self) -> &Stream {
        self.records.stream()
    }
}

/// What the records of `stream` say of the recording's end.
///
/// # Errors
///
/// As [`Reader::next`].
pub(in super::super) fn skim(stream: Stream) -> io::Result<Ending> {
    let mut reader = Reader::new(stream);
    let mut ending = Ending::default();
    loop {
        match reader.next()? {
            Found::Losses => ending.losses += reader.losses(),
            Found::Event => ending.last = Some(reader.event().ts),
            Found::Nothing => return Ok(ending),
            _ => {}
        }
    }
}

fn read_header(header: &proto::Header) -> Header {
    Header {
        host_name: header.host_name.clone(),
        kernel_release: header.kernel_release.clone(),
        ovs_version: header.ovs_version.clone(),
        anchor: header.anchor.as_ref().map(read_anchor),
        packet_snaplen: header.packet_snaplen,
        key_snaplen: header.key_snaplen,
    }
}

const fn read_anchor(anchor: &proto::ClockAnchor) -> ClockAnchor {
    ClockAnchor {
        monotonic: MonotonicNs(anchor.monotonic_ns),
        realtime_unix_ns: anchor.realtime_unix_ns,
    }
}

fn read_failure(failed: &proto::UpcallFailed) -> Result<RecordedFailure, LineFault> {
    Ok(RecordedFailure {
        ts: MonotonicNs(failed.monotonic_ns),
        cpu: Cpu(failed.cpu),
        tid: Tid(failed.tid),
        comm: Comm::from_bytes(&failed.comm),
        dp_upcall: MonotonicNs(failed.dp_upcall_monotonic_ns),
        errno: i32::try_from(failed.errno).map_err(|_| LineFault::OutOfRange("errno"))?,
    })
}

fn read_ports(ports: &proto::Ports) -> DatapathPorts {
    let port = |port: &proto::Port| Port {
        number: PortNo(port.number),
        name: port.name.clone(),
        vport_type: port.vport_type,
        ifindex: port.ifindex,
        netns: port.netns_id.map(NetnsId),
    };
    DatapathPorts {
        datapath: ports.datapath.clone(),
        ports: ports.ports.iter().map(port).collect(),
    }
}
