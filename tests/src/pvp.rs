//! A recording of any length in the pattern of tests/fixtures/pvp-10k: floods in both directions
//! between two ports, of packets of one length, of which the kernel sends up more than vswitchd
//! reads. Most `dp_upcall`s have no `recv_upcall` and look much alike, which makes the search for
//! the right one as hard as it gets.

use std::io::{self, Write};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use upspan::event::{
    Comm, Cpu, Event, EventBody, EventHead, EventKind, FlowKeyBytes, InPort, MonotonicNs, Ordinal,
    Packet, Tid, UpcallType,
};
use upspan::ports::{DatapathId, PortNo};

/// The line that such a recording begins with.
pub const PORT_MAP: &str = "dp_port_map = {'ovs-system': {'br0': 1, 'p1': 2, 'p2': 3}}";

/// Packets of a flood.
const FLOOD: u32 = 2048;
/// One in so many is read by vswitchd.
const READ: usize = 8;
const PACKET_LEN: usize = 60;
/// Bytes of a packet and of a key that the probes captured.
const CAPTURED_PACKET: usize = 256;
const KEY_LEN: u32 = 136;

/// The ports that packets come in by; only packets of the first one are read.
const PORTS: [PortNo; 2] = [PortNo(2), PortNo(3)];

/// Ethernet, IPv4 and UDP; addresses and ports of the flow, checksums of a partial checksum's
/// packet, payload to be filled in.
const HEADERS: [u8; PACKET_LEN] = [
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, // Ethernet
    0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2, // IPv4
    0, 0, 0, 0, 0, 26, 0, 0, // UDP
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const SOURCE_ADDRESS: std::ops::Range<usize> = 26..30;
const L4_PORTS: std::ops::Range<usize> = 34..38;
const SEQUENCE: std::ops::Range<usize> = 42..46;
const RANDOM: std::ops::Range<usize> = 46..58;

/// `skb_mark`, `priority`, … and the `in_port` of the first of [`PORTS`], as far as they were
/// captured.
const KEY: &[u8] = &[
    8, 0, 20, 0, 0, 0, 0, 0, 8, 0, 19, 0, 0, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0, 8, 0, 3, 0, 2, 0, 0,
    0, 8, 0, 15, 0, 0, 0, 0, 0, 8, 0, 22, 0, 0, 0, 0, 0, 6, 0, 23, 0, 0, 0, 0, 0, 8, 0, 24, 0, 0,
    0, 0, 0,
];

/// An event of the pattern, with its bytes.
#[derive(Clone, Debug)]
pub struct Generated {
    kind: EventKind,
    head: EventHead,
    port: PortNo,
    packet: [u8; PACKET_LEN],
}

impl Generated {
    /// The event, of this datapath.
    pub fn event(&self, datapath: DatapathId) -> Event<'_> {
        let packet = Packet { len: PACKET_LEN as u32, bytes: &self.packet };
        let key = FlowKeyBytes { len: KEY_LEN, bytes: KEY };
        let (port, upcall_type) = (self.port, UpcallType::Miss);
        let body = match self.kind {
            EventKind::DpUpcall => {
                EventBody::DpUpcall { upcall_type, datapath, port, packet, linear_len: 0 }
            }
            EventKind::RecvUpcall => {
                let in_port = InPort::Port(port);
                EventBody::RecvUpcall { upcall_type, datapath, in_port, packet, key }
            }
            EventKind::OpFlowPut => EventBody::FlowPut,
            EventKind::OpFlowExecute => EventBody::FlowExecute { packet },
            EventKind::OvsPktExec => EventBody::PacketExecute,
        };
        Event { head: self.head, body }
    }

    /// Writes it as a line of a recording.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        let EventHead { ts, cpu, tid, comm, .. } = self.head;
        let (upcall_type, datapath, device) = match (self.kind, self.port) {
            (EventKind::DpUpcall, PortNo(number)) => (1, "ovs-system", format!("p{}", number - 1)),
            (EventKind::RecvUpcall, _) => (0, "system@ovs-system", String::new()),
            _ => (0, "", String::new()),
        };
        let (packet_len, packet) = match self.kind {
            EventKind::OpFlowPut | EventKind::OvsPktExec => (0, &[][..]),
            _ => (PACKET_LEN, &self.packet[..]),
        };
        let stale = if packet.is_empty() { 0 } else { CAPTURED_PACKET - PACKET_LEN };
        let (key_len, key) = match self.kind {
            EventKind::RecvUpcall => (KEY_LEN, KEY),
            _ => (0, &[][..]),
        };
        writeln!(
            out,
            "event = {{'event': {}, 'cpu': {}, 'pid': {}, 'upcall_type': {upcall_type}, \
             'ts': {}, 'pkt_frag_size': 0, 'pkt_size': {packet_len}, 'key_size': {key_len}, \
             'comm': b'{comm}', 'dpif_name': b'{datapath}', 'dev_name': b'{device}', \
             'pkt': b'{}{}', 'key': b'{}'}}",
            self.kind.index(),
            cpu.0,
            tid.0,
            ts.0,
            packet.escape_ascii(),
            [0; CAPTURED_PACKET][..stale].escape_ascii(),
            key.escape_ascii(),
        )
    }
}

/// The first `count` events of the pattern; always the same ones.
pub fn events(count: usize) -> impl Iterator<Item = Generated> {
    let mut node = Node {
        random: Xoshiro256PlusPlus::seed_from_u64(1),
        ordinal: 0,
        now: 230_287_136_468,
        sequence: 0,
        events: Vec::new(),
    };
    std::iter::repeat_with(move || node.flood()).flatten().take(count)
}

/// Writes a recording of `count` events.
///
/// # Errors
///
/// Those of `out`.
pub fn write_recording(count: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{PORT_MAP}")?;
    events(count).try_for_each(|event| event.write_line(out))
}

/// What happens on a node with two handler threads.
struct Node {
    random: Xoshiro256PlusPlus,
    ordinal: u64,
    now: u64,
    sequence: u32,
    events: Vec<Generated>,
}

impl Node {
    /// A flood, and what vswitchd reads of it.
    fn flood(&mut self) -> Vec<Generated> {
        let packets: Vec<_> = (0..FLOOD).map(|_| self.packet()).collect();
        for (packet, (port, softirq)) in packets.iter().zip(PORTS.into_iter().zip([1, 0]).cycle()) {
            let thread = (softirq, 15 + softirq, format!("ksoftirqd/{softirq}"));
            self.happens(EventKind::DpUpcall, 300..900, &thread, port, packet);
        }
        let read: Vec<_> = packets.into_iter().step_by(READ).collect();
        let mut rest = &read[..];
        while !rest.is_empty() {
            let size = (1 << self.random.random_range(0..7)).min(rest.len());
            let (batch, later) = rest.split_at(size);
            self.batch(batch);
            rest = later;
        }
        std::mem::take(&mut self.events)
    }

    /// A batch of one of the threads: all are read, then put and executed, then run in the kernel.
    fn batch(&mut self, packets: &[[u8; PACKET_LEN]]) {
        let cpu = self.random.random_range(0..2);
        let thread = (cpu, 5001 + cpu, format!("handler{}", cpu + 1));
        for packet in packets {
            self.happens(EventKind::RecvUpcall, 500..1500, &thread, PORTS[0], packet);
        }
        for packet in packets {
            self.happens(EventKind::OpFlowPut, 400..3000, &thread, PORTS[0], packet);
            self.happens(EventKind::OpFlowExecute, 100..500, &thread, PORTS[0], packet);
        }
        for packet in packets {
            self.happens(EventKind::OvsPktExec, 700..1900, &thread, PORTS[0], packet);
        }
    }

    fn happens(
        &mut self,
        kind: EventKind,
        after_ns: std::ops::Range<u64>,
        (cpu, tid, comm): &(u32, u32, String),
        port: PortNo,
        packet: &[u8; PACKET_LEN],
    ) {
        self.now += self.random.random_range(after_ns);
        let head = EventHead {
            ordinal: Ordinal(self.ordinal),
            ts: MonotonicNs(self.now),
            cpu: Cpu(*cpu),
            tid: Tid(*tid),
            comm: Comm::from_bytes(comm.as_bytes()),
        };
        self.ordinal += 1;
        self.events.push(Generated { kind, head, port, packet: *packet });
    }

    fn packet(&mut self) -> [u8; PACKET_LEN] {
        let mut packet = HEADERS;
        self.random.fill_bytes(&mut packet[SOURCE_ADDRESS]);
        self.random.fill_bytes(&mut packet[L4_PORTS]);
        self.random.fill_bytes(&mut packet[RANDOM]);
        packet[SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
        self.sequence += 1;
        packet
    }
}
