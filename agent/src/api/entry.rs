//! An upcall as the ring keeps it.

use opentelemetry::trace::TraceId;

use crate::enrich::headers::Headers;
use crate::event::{EventHead, MonotonicNs, Packet};
use crate::per_kind::PerKind;
use crate::ports::{DatapathId, PortNo, Ports};
use crate::trace::TimeAnchor;
use crate::upcall::{FailedUpcall, Upcall};

/// What became of an upcall.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are handled, and a slot has one size")]
pub(super) enum Outcome {
    /// A handler thread read it.
    Handled(Upcall<'static>),
    /// The kernel could not deliver it.
    Failed(FailedUpcall<'static>),
}

/// An upcall, in a fixed number of bytes.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) outcome: Outcome,
    pub(super) datapath: Name,
    /// `None` where the port, or its name, is not known.
    pub(super) port_name: Option<Name>,
    packet: FirstBytes,
    pub(super) trace_id: Option<TraceId>,
    pub(super) anchor: TimeAnchor,
    /// Events that the capture had lost by then, in all.
    pub(super) lost: PerKind<u64>,
}

impl Entry {
    pub(super) fn handled(upcall: &Upcall<'_>, ports: &Ports) -> Self {
        let place = (upcall.datapath, upcall.port());
        Self::new(Outcome::Handled(upcall.without_bytes()), &upcall.packet, place, ports)
    }

    pub(super) fn failed(failed: &FailedUpcall<'_>, ports: &Ports) -> Self {
        let place = (failed.datapath, Some(failed.port));
        Self::new(Outcome::Failed(failed.without_bytes()), &failed.packet, place, ports)
    }

    fn new(
        outcome: Outcome,
        packet: &Packet<'_>,
        (datapath, port): (DatapathId, Option<PortNo>),
        ports: &Ports,
    ) -> Self {
        Self {
            outcome,
            datapath: Name::new(ports.datapath_name(datapath)),
            port_name: port.and_then(|port| ports.name(datapath, port)).map(Name::new),
            packet: FirstBytes::new(packet.bytes),
            trace_id: None,
            anchor: TimeAnchor::default(),
            lost: PerKind::default(),
        }
    }

    pub(super) fn upcall(&self) -> Option<&Upcall<'static>> {
        match &self.outcome {
            Outcome::Handled(upcall) => Some(upcall),
            Outcome::Failed(_) => None,
        }
    }

    /// Its first event.
    fn first(&self) -> &EventHead {
        match &self.outcome {
            Outcome::Handled(upcall) => upcall.first(),
            Outcome::Failed(failed) => &failed.head,
        }
    }

    pub(super) fn start(&self) -> MonotonicNs {
        self.first().ts
    }

    pub(super) fn start_unix_ns(&self) -> u64 {
        self.anchor.to_unix_ns(self.start())
    }

    pub(super) fn duration_ns(&self) -> u64 {
        match &self.outcome {
            Outcome::Handled(upcall) => upcall.duration_ns(),
            Outcome::Failed(failed) => failed.duration_ns(),
        }
    }

    pub(super) fn port(&self) -> Option<PortNo> {
        match &self.outcome {
            Outcome::Handled(upcall) => upcall.port(),
            Outcome::Failed(failed) => Some(failed.port),
        }
    }

    /// Length of the whole packet in bytes.
    pub(super) fn packet_len(&self) -> u32 {
        match &self.outcome {
            Outcome::Handled(upcall) => upcall.packet.len,
            Outcome::Failed(failed) => failed.packet.len,
        }
    }

    pub(super) fn headers(&self) -> Headers {
        Headers::parse(&Packet { len: self.packet_len(), bytes: self.packet.as_bytes() })
    }
}

/// A name of a datapath or port. Those of Linux have 15 bytes at most; what is longer, as it may be
/// in a recording, is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl Name {
    const MAX: usize = 31;

    fn new(name: &str) -> Self {
        let len = name.floor_char_boundary(Self::MAX);
        let mut bytes = [0; Self::MAX];
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Self { len: len as u8, bytes }
    }

    pub(super) fn as_str(&self) -> &str {
        // Cut at the boundary of a character, so that it is what it was: UTF-8.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

/// The bytes of a packet that hold its headers, to be looked at only when somebody asks.
#[derive(Clone, Copy, Debug)]
struct FirstBytes {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl FirstBytes {
    /// Ethernet, two VLAN tags, IPv6 with an extension or two, and TCP.
    const MAX: usize = 128;

    fn new(packet: &[u8]) -> Self {
        let len = packet.len().min(Self::MAX);
        let mut bytes = [0; Self::MAX];
        bytes[..len].copy_from_slice(&packet[..len]);
        Self { len: len as u8, bytes }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(Name::new("ovs-system").as_str(), "ovs-system");
        assert_eq!(Name::new("").as_str(), "");
        let long = "ü".repeat(20);
        assert_eq!(Name::new(&long).as_str(), "ü".repeat(15));
    }
}
