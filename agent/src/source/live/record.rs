//! Records of the ring buffer, as the BPF programs write them (`upspan_ebpf::record`).

use upspan_ebpf::record::{self, Head, kind};
use zerocopy::FromBytes;

use crate::event::{
    Comm, Cpu, Event, EventBody, EventHead, EventKind, FlowKeyBytes, MonotonicNs, Ordinal, Packet,
    Tid, Unusable,
};
use crate::ports::Ports;
use crate::source::{Record, usable};

/// `OVS_PACKET_CMD_ACTION` of include/uapi/linux/openvswitch.h.
const OVS_PACKET_CMD_ACTION: u32 = 2;
/// `DPIF_UC_ACTION` of Open vSwitch's lib/dpif.h.
const DPIF_UC_ACTION: u32 = 1;

/// A record that the programs cannot have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {len} bytes and kind {kind:?} in the ring buffer is malformed")]
pub struct MalformedRecord {
    /// Its length in bytes.
    pub len: usize,
    /// The number of its kind, if it is long enough to have one.
    pub kind: Option<u32>,
}

/// A record, before its names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEvent<'a> {
    /// What all kinds have.
    pub head: Head,
    /// What its kind has.
    pub body: RawBody<'a>,
}

/// What the kinds of records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawBody<'a> {
    /// See [`record::DpUpcall`]; with the packet.
    DpUpcall(record::DpUpcall, Packet<'a>),
    /// See [`record::RecvUpcall`]; with packet and flow key.
    RecvUpcall(record::RecvUpcall, Packet<'a>, FlowKeyBytes<'a>),
    /// A flow put.
    FlowPut,
    /// With the packet to execute.
    FlowExecute(Packet<'a>),
    /// The kernel starts to execute a packet.
    PacketExecute,
    /// See [`record::UpcallFailed`].
    UpcallFailed(record::UpcallFailed),
}

impl<'a> RawEvent<'a> {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// It is of no known kind, or shorter than it says. More bytes than it says are ignored.
    pub fn parse(record: &'a [u8]) -> Result<Self, MalformedRecord> {
        let malformed = |kind| MalformedRecord { len: record.len(), kind };
        let (head, rest) = Head::read_from_prefix(record).map_err(|_| malformed(None))?;
        let body = RawBody::parse(&head, rest).ok_or(malformed(Some(head.kind)))?;
        Ok(Self { head, body })
    }

    /// Which of the five kinds it is; `None` for the report of a failure.
    #[must_use]
    pub const fn kind(&self) -> Option<EventKind> {
        Some(match self.body {
            RawBody::DpUpcall(..) => EventKind::DpUpcall,
            RawBody::RecvUpcall(..) => EventKind::RecvUpcall,
            RawBody::FlowPut => EventKind::OpFlowPut,
            RawBody::FlowExecute(_) => EventKind::OpFlowExecute,
            RawBody::PacketExecute => EventKind::OvsPktExec,
            RawBody::UpcallFailed(_) => return None,
        })
    }

    /// The event with names looked up. `ports` learns of the datapath if it is new.
    pub fn resolve(&self, ordinal: Ordinal, ports: &mut Ports) -> Record<'a> {
        let head = EventHead {
            ordinal,
            ts: MonotonicNs(self.head.ts),
            cpu: Cpu(self.head.cpu),
            tid: Tid(self.head.tid),
            comm: Comm::from_bytes(&self.head.comm),
        };
        let body = match self.body {
            RawBody::DpUpcall(body, _) if body.upcall_cmd == OVS_PACKET_CMD_ACTION => {
                Err((EventKind::DpUpcall, Unusable::NotAMiss))
            }
            RawBody::DpUpcall(body, packet) => {
                let linear_len = match body.data_len {
                    0 => 0,
                    fragments => body.packet_len.saturating_sub(fragments),
                };
                let (datapath, port) = (name(&body.datapath), name(&body.port));
                usable::dp_upcall(ports, datapath, port, packet, linear_len)
                    .map_err(|reason| (EventKind::DpUpcall, reason))
            }
            RawBody::RecvUpcall(body, packet, key) => {
                let is_miss = body.upcall_type != DPIF_UC_ACTION;
                usable::recv_upcall(ports, name(&body.datapath), is_miss, packet, key)
                    .map_err(|reason| (EventKind::RecvUpcall, reason))
            }
            RawBody::FlowPut => Ok(EventBody::FlowPut),
            RawBody::FlowExecute(packet) => usable::flow_execute(packet)
                .map_err(|reason| (EventKind::OpFlowExecute, reason)),
            RawBody::PacketExecute => Ok(EventBody::PacketExecute),
            RawBody::UpcallFailed(failed) => {
                return Record::Failed {
                    head,
                    dp_upcall: MonotonicNs(failed.dp_upcall),
                    errno: failed.errno.saturating_neg(),
                };
            }
        };
        match body {
            Ok(body) => Record::Event(Event { head, body }),
            Err((kind, reason)) => Record::Unusable { kind, head, reason },
        }
    }
}

impl<'a> RawBody<'a> {
    fn parse(head: &Head, rest: &'a [u8]) -> Option<Self> {
        Some(match head.kind {
            kind::DP_UPCALL => {
                let (body, rest) = record::DpUpcall::read_from_prefix(rest).ok()?;
                Self::DpUpcall(body, packet(head, body.packet_len, rest)?)
            }
            kind::RECV_UPCALL => {
                let (body, rest) = record::RecvUpcall::read_from_prefix(rest).ok()?;
                let packet = packet(head, body.packet_len, rest)?;
                let rest = rest.get(packet.bytes.len()..)?;
                let key = rest.get(..usize::from(head.key_captured))?;
                let key = &key[..key.len().min(body.key_len as usize)];
                Self::RecvUpcall(body, packet, FlowKeyBytes { len: body.key_len, bytes: key })
            }
            kind::OP_FLOW_PUT => Self::FlowPut,
            kind::OP_FLOW_EXECUTE => {
                let (body, rest) = record::FlowExecute::read_from_prefix(rest).ok()?;
                Self::FlowExecute(packet(head, body.packet_len, rest)?)
            }
            kind::OVS_PKT_EXEC => Self::PacketExecute,
            kind::UPCALL_FAILED => {
                Self::UpcallFailed(record::UpcallFailed::read_from_prefix(rest).ok()?.0)
            }
            _ => return None,
        })
    }
}

fn packet<'a>(head: &Head, len: u32, rest: &'a [u8]) -> Option<Packet<'a>> {
    let bytes = rest.get(..usize::from(head.packet_captured))?;
    (bytes.len() <= len as usize).then_some(Packet { len, bytes })
}

/// A name up to its padding.
fn name(padded: &[u8]) -> &[u8] {
    padded.split(|&byte| byte == 0).next().unwrap_or_default()
}
