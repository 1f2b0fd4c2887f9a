//! UDP: one socket, many destinations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::Context;

use crate::mark::Mark;
use crate::namespace::within;
use crate::network::Host;

/// A packet to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) to: SocketAddr,
    pub(crate) mark: Mark,
}

/// Sends packets at once, from a port that the system chooses.
pub(crate) fn send(
    from: Host,
    packets: impl IntoIterator<Item = Packet> + Send,
) -> anyhow::Result<()> {
    send_from(from, 0, packets)
}

/// Sends packets at once, from this port.
pub(crate) fn send_from(
    from: Host,
    port: u16,
    packets: impl IntoIterator<Item = Packet> + Send,
) -> anyhow::Result<()> {
    within(from.name, || {
        let mut packets = packets.into_iter().peekable();
        let Some(first) = packets.peek() else { return Ok(()) };
        let any = match first.to {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((any, port)).context("cannot open a UDP socket")?;
        for Packet { to, mark } in packets {
            socket
                .send_to(&mark.payload(), to)
                .with_context(|| format!("cannot send to {to} from {}", from.name))?;
        }
        Ok(())
    })
}
