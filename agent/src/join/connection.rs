//! The two ends of a connection: as a packet has them, and as far as a span knows them.

use std::net::IpAddr;

use etherparse::{LaxSlicedPacket, TransportSlice};

use crate::enrich::Headers;
use crate::event::Packet;

/// UDP ports on which VXLAN (RFC 7348) and Geneve (RFC 8926) are at home.
const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;

/// Both have a header of 8 bytes; behind that of Geneve are options.
const TUNNEL_HEADER: usize = 8;

/// Transport protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP, also for QUIC.
    Udp,
    /// SCTP.
    Sctp,
}

impl Transport {
    fn of_protocol(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket {
    /// Its address; IPv4 is never written as IPv6 (`::ffff:10.0.0.1`).
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

/// What is known of one end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address, as in [`Socket::address`].
    pub address: Option<IpAddr>,
    /// Its port; never 0.
    pub port: Option<u16>,
}

impl Endpoint {
    /// Both, if both are known.
    #[must_use]
    pub fn socket(self) -> Option<Socket> {
        Some(Socket { address: self.address?, port: self.port? })
    }

    /// How many of address and port are known and are those of `socket`; `None` if one is another.
    pub(super) fn agrees(self, socket: Socket) -> Option<u32> {
        let address = self.address.map(|address| address == socket.address);
        let port = self.port.map(|port| port == socket.port);
        let parts = [address, port].into_iter().flatten();
        parts.clone().all(|equal| equal).then(|| parts.map(u32::from).sum())
    }
}

impl From<Socket> for Endpoint {
    fn from(socket: Socket) -> Self {
        Self { address: Some(socket.address), port: Some(socket.port) }
    }
}

/// The connection that a packet belongs to, by its source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its protocol.
    pub transport: Transport,
    /// Where the packet comes from.
    pub source: Socket,
    /// Where it goes.
    pub destination: Socket,
}

impl Connection {
    /// The connection of a packet: of the inner one, where it is in a VXLAN or Geneve tunnel.
    /// `None` if it has no ports, or was cut before them.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let outer = Self::of_headers(&Headers::parse(packet))?;
        let is_tunnel = outer.transport == Transport::Udp
            && matches!(outer.destination.port, VXLAN_PORT | GENEVE_PORT);
        match is_tunnel.then(|| inner_frame(packet.bytes)).flatten() {
            // Of a tunnel in a tunnel, the inner one is left alone.
            Some(bytes) => Self::of_headers(&Headers::parse(&Packet { bytes, ..*packet })),
            None => Some(outer),
        }
    }

    fn of_headers(headers: &Headers) -> Option<Self> {
        let socket = |address: Option<IpAddr>, port| {
            Some(Socket { address: address?.to_canonical(), port: port? })
        };
        Some(Self {
            transport: Transport::of_protocol(headers.protocol?)?,
            source: socket(headers.source, headers.source_port)?,
            destination: socket(headers.destination, headers.destination_port)?,
        })
    }

    /// The same, with the packet going the other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source, ..self }
    }
}

/// The Ethernet frame in a tunnel's packet.
fn inner_frame(bytes: &[u8]) -> Option<&[u8]> {
    let sliced = LaxSlicedPacket::from_ethernet(bytes).ok()?;
    let Some(TransportSlice::Udp(udp)) = sliced.transport else { return None };
    let payload = udp.payload();
    match udp.destination_port() {
        VXLAN_PORT => payload.get(TUNNEL_HEADER..),
        GENEVE_PORT => {
            let options = usize::from(payload.first()? & 0x3f) * 4;
            payload.get(TUNNEL_HEADER + options..)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    fn tcp(source: u16, destination: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(source, destination, 1, 1000)
            .write(&mut frame, &[])
            .expect("memory");
        frame
    }

    fn tunnel(port: u16, header: &[u8], inner: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([6; 6], [8; 6])
            .ipv4([172, 18, 0, 1], [172, 18, 0, 2], 64)
            .udp(50_000, port)
            .write(&mut frame, &[header, inner].concat())
            .expect("memory");
        frame
    }

    fn of(bytes: &[u8]) -> Option<Connection> {
        Connection::of(&Packet { len: bytes.len() as u32, bytes })
    }

    #[test]
    fn the_inner_packet_of_a_tunnel_counts() {
        let inner = tcp(40_000, 80);
        let expected = of(&inner).expect("a connection");
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(expected.source, Socket { address, port: 40_000 });
        let vxlan = tunnel(VXLAN_PORT, &[8, 0, 0, 0, 0, 0, 7, 0], &inner);
        assert_eq!(of(&vxlan), Some(expected));
        let geneve = [&[1, 0, 0x65, 0x58, 0, 0, 7, 0][..], &[0; 4]].concat();
        assert_eq!(of(&tunnel(GENEVE_PORT, &geneve, &inner)), Some(expected));
    }

    #[test]
    fn a_tunnels_packet_whose_inner_one_was_cut_has_no_connection() {
        let whole = tunnel(VXLAN_PORT, &[8, 0, 0, 0, 0, 0, 7, 0], &tcp(40_000, 80));
        assert_eq!(of(&whole[..60]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_connection_or_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), port in 0_usize..3, len in 0_usize..90,
        ) {
            let _ = of(&bytes);
            let port = [VXLAN_PORT, GENEVE_PORT, 53][port];
            let _ = of(&tunnel(port, &[], &bytes));
            let _ = of(&tcp(1, 2)[..len.min(54)]);
        }
    }
}
