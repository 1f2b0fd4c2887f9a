//! Events as lines of a table, in the format of upcall_cost.py.

use std::fmt;

use super::terminal::plain;
use crate::event::{Event, EventBody, EventKind, InPort, MonotonicNs};
use crate::ports::Ports;

/// The table's header.
pub const HEADER: &str = "EVENT                    COMM                  PID  CPU  TIME                EVENT DATA[dpif_name/dp_port/pkt_len/pkt_frag_len]";

/// Longest label that is printed whole, in characters.
const LABEL_WIDTH: usize = 22;

/// What upcall_cost.py prints for a tunnel's `recv_upcall`, whose key names no port.
const TUNNEL_PORT: i64 = -1;

/// One event as a line, without the line's end.
#[derive(Clone, Copy, Debug)]
pub struct EventLine<'a> {
    event: &'a Event<'a>,
    ports: &'a Ports,
}

impl<'a> EventLine<'a> {
    /// The line of this event; `ports` has its datapath's name.
    #[must_use]
    pub const fn new(event: &'a Event<'a>, ports: &'a Ports) -> Self {
        Self { event, ports }
    }
}

impl fmt::Display for EventLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = &self.event.head;
        let (dots, label) = shortened(self.event.kind());
        write!(
            f,
            "[{dots}{label:<width$}] {:<16} {:8} [{:03}] {:>18}",
            plain(head.comm.to_str_lossy()),
            head.tid.0,
            head.cpu.0,
            seconds(head.ts),
            width = LABEL_WIDTH - dots.len(),
        )?;
        let name = |datapath| plain(self.ports.datapath_name(datapath).into());
        match self.event.body {
            EventBody::DpUpcall { datapath, port, packet, linear_len, .. } => {
                write!(f, ": {:<17} {:4} {:4} {linear_len:4}", name(datapath), port.0, packet.len)
            }
            EventBody::RecvUpcall { datapath, in_port, packet, .. } => {
                let port = match in_port {
                    InPort::Port(port) => i64::from(port.0),
                    InPort::Any => TUNNEL_PORT,
                };
                write!(f, ": {:<17} {port:4} {:4}", name(datapath), packet.len)
            }
            EventBody::FlowExecute { packet } => {
                write!(f, ": {:<17} {:4} {:4}", "", "", packet.len)
            }
            EventBody::FlowPut | EventBody::PacketExecute => Ok(()),
        }
    }
}

/// The end of a label that is too long, after dots.
fn shortened(kind: EventKind) -> (&'static str, &'static str) {
    const DOTS: &str = "..";
    let label = kind.label();
    match label.len().checked_sub(LABEL_WIDTH) {
        None | Some(0) => ("", label),
        Some(excess) => (DOTS, &label[excess + DOTS.len()..]),
    }
}

/// Seconds with nine decimals, all of them exact.
pub(super) fn seconds(ts: MonotonicNs) -> String {
    format!("{}.{:09}", ts.0 / 1_000_000_000, ts.0 % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Comm, Cpu, EventHead, FlowKeyBytes, Ordinal, Packet, Tid, UpcallType};
    use crate::ports::PortNo;

    #[test]
    fn lines_are_those_of_the_reference() {
        let mut ports = Ports::default();
        let datapath = ports.datapath(b"ovs-system").expect("there is room");
        let packet = Packet { len: 1514, bytes: &[0; 64] };
        let bodies = [
            EventBody::DpUpcall {
                upcall_type: UpcallType::Miss,
                datapath,
                port: PortNo(2),
                packet,
                linear_len: 66,
            },
            EventBody::RecvUpcall {
                upcall_type: UpcallType::Miss,
                datapath,
                in_port: InPort::Port(PortNo(2)),
                packet,
                key: FlowKeyBytes::default(),
            },
            EventBody::RecvUpcall {
                upcall_type: UpcallType::Miss,
                datapath,
                in_port: InPort::Any,
                packet,
                key: FlowKeyBytes::default(),
            },
            EventBody::FlowPut,
            EventBody::FlowExecute { packet },
            EventBody::PacketExecute,
        ];
        let mut text = format!("{HEADER}\n");
        for (index, body) in bodies.into_iter().enumerate() {
            let head = EventHead {
                ordinal: Ordinal(index as u64),
                ts: MonotonicNs(230_287_136_054 + index as u64),
                cpu: Cpu(1),
                tid: Tid(887),
                comm: Comm::from_bytes(b"handler1"),
            };
            text += &format!("{}|\n", EventLine::new(&Event { head, body }, &ports));
        }
        // As printed by the script for the same values, but for the line ends.
        insta::assert_snapshot!(text, @"
        EVENT                    COMM                  PID  CPU  TIME                EVENT DATA[dpif_name/dp_port/pkt_len/pkt_frag_len]
        [openvswitch__dp_upcall] handler1              887 [001]      230.287136054: ovs-system           2 1514   66|
        [dpif_recv__recv_upcall] handler1              887 [001]      230.287136055: ovs-system           2 1514|
        [dpif_recv__recv_upcall] handler1              887 [001]      230.287136056: ovs-system          -1 1514|
        [..operate__op_flow_put] handler1              887 [001]      230.287136057|
        [..ate__op_flow_execute] handler1              887 [001]      230.287136058:                        1514|
        [..s_packet_cmd_execute] handler1              887 [001]      230.287136059|
        ");
    }
}
