//! What a recording consists of, before it is made sense of: in any format the same.

use crate::enrich::FlowKey;
use crate::event::{
    Comm, Cpu, Event, EventBody, EventHead, EventKind, FlowKeyBytes, InPort, MonotonicNs, Ordinal,
    Packet, Pid, Tid, Unusable,
};
use crate::ports::{DatapathId, PortNo, Ports};
use crate::source::Record;

/// One item of a recording, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Where the recording comes from. Only the compact format says so.
    Header(&'a Header),
    /// Ports that become known. The same datapath may come again, also with the same ports.
    Ports(&'a [DatapathPorts]),
    /// What a probe saw.
    Event(RecordedEvent<'a>),
    /// Events that were lost while recording.
    Lost {
        /// Their kind.
        kind: EventKind,
        /// How many.
        count: u64,
    },
    /// The clocks, measured again. Only the compact format has it.
    Anchor(ClockAnchor),
    /// An event that could not be read.
    Unreadable,
}

/// Where a recording comes from. What is not known is empty, `None` or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Name of the host (gethostname(2)).
    pub host_name: String,
    /// Release of its kernel (uname(2)).
    pub kernel_release: String,
    /// Version of its Open vSwitch.
    pub ovs_version: String,
    /// Both clocks when recording began.
    pub anchor: Option<ClockAnchor>,
    /// Most bytes captured of a packet.
    pub packet_snaplen: u32,
    /// Most bytes captured of a flow key.
    pub key_snaplen: u32,
}

/// One instant on both clocks of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockAnchor {
    /// `CLOCK_MONOTONIC`.
    pub monotonic: MonotonicNs,
    /// `CLOCK_REALTIME`, in nanoseconds since the Unix epoch.
    pub realtime_unix_ns: u64,
}

/// Ports of a datapath.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatapathPorts {
    /// Name of the datapath.
    pub datapath: Vec<u8>,
    /// The ports, in any order.
    pub ports: Vec<Port>,
}

/// A port of a datapath.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: PortNo,
    /// Its name.
    pub name: Vec<u8>,
    /// `enum ovs_vport_type` of the kernel's include/uapi/linux/openvswitch.h; 0 where not known.
    pub vport_type: u32,
    /// Index of the network interface; 0 where there is none, or it is not known.
    pub ifindex: u32,
}

/// Bytes as far as a probe captured them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Length of the whole in bytes; there may be fewer or, of no meaning, more in `bytes`.
    pub len: u32,
    /// What lies in the recording: the captured bytes, and perhaps stale memory behind them.
    pub bytes: &'a [u8],
    /// NULs of no meaning that lie behind `bytes`: upcall_cost.py writes captures of a fixed size.
    pub padding: u32,
}

impl<'a> Captured<'a> {
    /// Of something `len` bytes long, these first `bytes`.
    #[must_use]
    pub const fn new(len: u32, bytes: &'a [u8]) -> Self {
        Self { len, bytes, padding: 0 }
    }

    /// The captured bytes, without what is stale behind them.
    #[must_use]
    pub fn valid(&self) -> &'a [u8] {
        start(self.bytes, self.len)
    }
}

/// An event as a probe saw it: not yet matched to known ports, and perhaps of no use. It mirrors
/// `struct event_t` of upcall_cost.py, with what the live capture knows beyond that. Any kind may
/// have any field.
///
/// ```
/// use upspan::event::{EventKind, MonotonicNs, Tid};
/// use upspan::source::recording::RecordedEvent;
///
/// let put = RecordedEvent {
///     ts: MonotonicNs(1_000),
///     tid: Tid(199),
///     ..RecordedEvent::of(EventKind::OpFlowPut)
/// };
/// assert_eq!(put.packet.len, 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedEvent<'a> {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub ts: MonotonicNs,
    /// Where.
    pub cpu: Cpu,
    /// In which thread.
    pub tid: Tid,
    /// In which process, where known.
    pub pid: Option<Pid>,
    /// Name of that thread.
    pub comm: Comm,
    /// Of a `recv_upcall`, `enum dpif_upcall_type` (0: miss); of a `dp_upcall`,
    /// `enum ovs_packet_cmd` (1: miss).
    pub upcall_type: u32,
    /// Name of the datapath. vswitchd's own, in a `recv_upcall`, has a prefix: `system@`.
    pub datapath: &'a [u8],
    /// Name of the port that the packet came in by.
    pub port_name: &'a [u8],
    /// Number of that port, where known.
    pub port: Option<PortNo>,
    /// The packet.
    pub packet: Captured<'a>,
    /// Length in bytes of the linear part of a non-linear skb, beyond which nothing was captured;
    /// 0 for a linear one.
    pub linear_len: u32,
    /// The flow key.
    pub key: Captured<'a>,
}

impl RecordedEvent<'_> {
    /// An event of this kind with nothing in it, to be filled in.
    #[must_use]
    pub const fn of(kind: EventKind) -> Self {
        const NOTHING: Captured<'_> = Captured::new(0, &[]);
        Self {
            kind,
            ts: MonotonicNs(0),
            cpu: Cpu(0),
            tid: Tid(0),
            pid: None,
            comm: Comm::EMPTY,
            upcall_type: 0,
            datapath: &[],
            port_name: &[],
            port: None,
            packet: NOTHING,
            linear_len: 0,
            key: NOTHING,
        }
    }
}

impl<'a> RecordedEvent<'a> {
    /// The record that the event makes, with the ports known so far: whether it can be joined with
    /// others, and what it carries, by the rules of upcall_cost.py.
    #[must_use]
    pub fn record(&self, ordinal: Ordinal, ports: &mut Ports) -> Record<'a> {
        let Self { kind, ts, cpu, tid, comm, .. } = *self;
        let head = EventHead { ordinal, ts, cpu, tid, comm };
        match self.body(ports) {
            Ok(body) => Record::Event(Event { head, body }),
            Err(reason) => Record::Unusable { kind, head, reason },
        }
    }

    fn body(&self, ports: &mut Ports) -> Result<EventBody<'a>, Unusable> {
        match self.kind {
            EventKind::DpUpcall => {
                let packet = self.linear_packet();
                if packet.bytes.is_empty() {
                    return Err(Unusable::NoPacket);
                }
                let (datapath, port) = self.dp_port(ports).ok_or(Unusable::UnknownPort)?;
                Ok(EventBody::DpUpcall { datapath, port, packet, linear_len: self.linear_len })
            }
            EventKind::RecvUpcall => {
                let packet = self.packet();
                let key = FlowKeyBytes { len: self.key.len, bytes: self.key.valid() };
                if self.upcall_type != 0 {
                    return Err(Unusable::NotAMiss);
                }
                if packet.len == 0 {
                    return Err(Unusable::NoPacket);
                }
                if key.len == 0 {
                    return Err(Unusable::NoKey);
                }
                let datapath = ports.datapath(self.datapath).ok_or(Unusable::UnknownPort)?;
                let in_port = match key_port(FlowKey::new(key)) {
                    Some(in_port) => in_port,
                    None => InPort::Port(local_port(ports, datapath).ok_or(Unusable::UnknownPort)?),
                };
                Ok(EventBody::RecvUpcall { datapath, in_port, packet, key })
            }
            EventKind::OpFlowPut => Ok(EventBody::FlowPut),
            EventKind::OpFlowExecute => {
                let packet = self.packet();
                if packet.bytes.is_empty() {
                    return Err(Unusable::NoPacket);
                }
                Ok(EventBody::FlowExecute { packet })
            }
            EventKind::OvsPktExec => Ok(EventBody::PacketExecute),
        }
    }

    /// The port of a `dp_upcall`: by its number, or else by the name that the port map has for it.
    fn dp_port(&self, ports: &mut Ports) -> Option<(DatapathId, PortNo)> {
        if let Some(port) = self.port {
            return Some((ports.datapath(self.datapath)?, port));
        }
        let datapath = ports.find(self.datapath)?;
        Some((datapath, ports.number(datapath, self.port_name)?))
    }

    fn packet(&self) -> Packet<'a> {
        Packet { len: self.packet.len, bytes: self.packet.valid() }
    }

    /// As [`RecordedEvent::packet`], but of a non-linear skb only the linear part: the probe
    /// copies just that, and what is behind it is stale.
    fn linear_packet(&self) -> Packet<'a> {
        let packet = self.packet();
        match self.linear_len {
            0 => packet,
            linear => Packet { bytes: start(packet.bytes, linear), ..packet },
        }
    }
}

/// The first `len` bytes, or as many as there are.
fn start(bytes: &[u8], len: u32) -> &[u8] {
    usize::try_from(len).ok().and_then(|len| bytes.get(..len)).unwrap_or(bytes)
}

/// The port that has its datapath's own name (`OVSP_LOCAL`). `ovs_packet_cmd_execute` of the
/// kernel takes it for packets that come in by no port, whose keys lack `OVS_KEY_ATTR_IN_PORT`.
fn local_port(ports: &Ports, datapath: DatapathId) -> Option<PortNo> {
    ports.number(datapath, ports.datapath_name(datapath).as_bytes())
}

/// What a flow key, perhaps cut by the capture, says of the port. A tunnel attribute that is cut
/// counts too: the kernel writes it before the port (`__ovs_nla_put_key`), and both seldom fit.
fn key_port(key: FlowKey<'_>) -> Option<InPort> {
    key.in_port().map(InPort::Port).or_else(|| key.has_tunnel().then_some(InPort::Any))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FlowKeyBytes;

    /// An attribute that claims `len` bytes of payload.
    fn attribute(kind: u16, len: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (len + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// `enum ovs_key_attr` of the kernel's include/uapi/linux/openvswitch.h.
    const OVS_KEY_ATTR_IN_PORT: u16 = 3;
    const OVS_KEY_ATTR_TUNNEL: u16 = 16;

    /// Of a key that may have been cut after `bytes`.
    fn key_port(bytes: &[u8]) -> Option<InPort> {
        super::key_port(FlowKey::new(FlowKeyBytes { len: 1000, bytes }))
    }

    fn port(number: u32) -> Vec<u8> {
        attribute(OVS_KEY_ATTR_IN_PORT, 4, &number.to_ne_bytes())
    }

    #[test]
    fn the_port_wins_over_the_tunnel_wherever_it_stands() {
        let tunnel = attribute(OVS_KEY_ATTR_TUNNEL, 5, b"12345");
        let seven = Some(InPort::Port(PortNo(7)));
        assert_eq!(key_port(&[port(7), tunnel.clone()].concat()), seven);
        assert_eq!(key_port(&[tunnel.clone(), port(7)].concat()), seven);
        assert_eq!(key_port(&tunnel), Some(InPort::Any));
    }

    #[test]
    fn a_cut_tunnel_means_any_port_and_a_cut_port_none() {
        let recirc = attribute(20, 4, &[0; 4]);
        let tunnel = attribute(OVS_KEY_ATTR_TUNNEL, 60, &[0; 8]);
        assert_eq!(key_port(&[recirc.clone(), tunnel].concat()), Some(InPort::Any));
        let key = [recirc.clone(), port(7)].concat();
        for len in 0..key.len() {
            assert_eq!(key_port(&key[..len]), None, "{len}");
        }
    }
}
