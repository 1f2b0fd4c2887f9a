//! An upcall as the benchmarks take it.

use upspan::event::{
    Comm, Cpu, EventHead, FlowKeyBytes, InPort, MonotonicNs, Ordinal, Packet, Tid, UpcallType,
};
use upspan::ports::{DatapathId, PortNo, Ports};
use upspan::upcall::{BatchPlace, KernelSide, MatchMethod, Missing, Upcall};

/// A UDP datagram as vswitchd read it; from tests/fixtures/mix-4319.
const PACKET: &str = "020000000002020000000001080045000067f799400040112eea0a0000010a000002ae0923\
    00005369277472616365706172656e743a2030302d3462663932663335373762333464613661336365393239643065\
    30303030302d303030303030303030303030303030312d3031207365713d3020";
/// The flow key that came with it.
const KEY: &str = "0800140000000000080013000000000008000200000000000800030002000000080\
    00f000000000008001600000000000600170000000000080018000000000014001900000000000000000000000000\
    00000000100004000200000000010200000000020600060008000000100007000a0000010a00000211004000\
    08000a00ae092300";

/// What an upcall borrows.
pub(crate) struct Sample {
    pub(crate) ports: Ports,
    datapath: DatapathId,
    packet: Vec<u8>,
    key: Vec<u8>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let mut ports = Ports::default();
        let datapath = ports.datapath(b"system@ovs-system").expect("the table is empty");
        ports.add_port(datapath, PortNo(2), b"p1");
        Self { ports, datapath, packet: from_hex(PACKET), key: from_hex(KEY) }
    }

    /// An upcall with all of its events: a root and five phases.
    pub(crate) fn upcall(&self) -> Upcall<'_> {
        let Self { datapath, packet, key, .. } = self;
        let handler = |ts| head(ts, 1, 199, b"handler6");
        Upcall {
            upcall_type: UpcallType::Miss,
            datapath: *datapath,
            in_port: InPort::Port(PortNo(2)),
            kernel: Some(KernelSide {
                head: head(0, 0, 887, b"nping"),
                port: PortNo(2),
                packet_len: packet.len() as u32,
                matched: MatchMethod::Checksum,
                gso_segment: None,
            }),
            recv: handler(150_001),
            packet: Packet { len: packet.len() as u32, bytes: packet },
            key: FlowKeyBytes { len: key.len() as u32, bytes: key },
            translated: Some(handler(210_002)),
            flow_put: Some(handler(230_003)),
            flow_execute: Some(handler(231_004)),
            packet_execute: Some(handler(300_005)),
            batch: BatchPlace { size: 3, index: 2 },
            missing: Missing::default(),
        }
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn head(ts: u64, cpu: u32, tid: u32, comm: &[u8]) -> EventHead {
    EventHead {
        ordinal: Ordinal(0),
        ts: MonotonicNs(93_515_596_089 + ts),
        cpu: Cpu(cpu),
        tid: Tid(tid),
        comm: Comm::from_bytes(comm),
    }
}
