//! Upcalls made by hand, for tests.

use crate::event::{
    Comm, Cpu, EventHead, FlowKeyBytes, InPort, MonotonicNs, Ordinal, Packet, Tid, UpcallType,
};
use crate::ports::{DatapathId, PortNo, Ports};
use crate::upcall::{BatchPlace, KernelSide, MatchMethod, Missing, Upcall};

/// A datapath `ovs-system` with the ports `p1` (2) and `p2` (3).
pub(crate) fn ports() -> (Ports, DatapathId) {
    let mut ports = Ports::default();
    let datapath = ports.datapath(b"ovs-system").expect("there is room");
    ports.add_port(datapath, PortNo(2), b"p1");
    ports.add_port(datapath, PortNo(3), b"p2");
    (ports, datapath)
}

/// An event of a thread.
pub(crate) fn head(ordinal: u64, ns: u64, tid: u32, comm: &str) -> EventHead {
    EventHead {
        ordinal: Ordinal(ordinal),
        ts: MonotonicNs(ns),
        cpu: Cpu(0),
        tid: Tid(tid),
        comm: Comm::from_bytes(comm.as_bytes()),
    }
}

/// An upcall of port 2 with all events, in a batch of its own: `dp_upcall` has this ordinal, the
/// others the next ones; they happen at these times.
pub(crate) fn upcall(
    datapath: DatapathId,
    ordinal: u64,
    times: [u64; 5],
    tid: u32,
) -> Upcall<'static> {
    let comm = format!("handler{tid}");
    let event = |index: u64, ns| head(ordinal + index, ns, tid, &comm);
    Upcall {
        upcall_type: UpcallType::Miss,
        datapath,
        in_port: InPort::Port(PortNo(2)),
        kernel: Some(KernelSide {
            head: head(ordinal, times[0], 887, "ping"),
            port: PortNo(2),
            packet_len: 64,
            matched: MatchMethod::Bytes,
            gso_segment: None,
        }),
        recv: event(1, times[1]),
        packet: Packet { len: 64, bytes: &[0; 64] },
        key: FlowKeyBytes::default(),
        translated: Some(event(2, times[2])),
        flow_put: Some(event(2, times[2])),
        flow_execute: Some(event(3, times[3])),
        packet_execute: Some(event(4, times[4])),
        batch: BatchPlace { size: 1, index: 0 },
        missing: Missing::default(),
    }
}
