//! What packets carry to be told apart: a mark near their start.

use std::fmt;

/// The bytes that a mark begins with.
const MAGIC: [u8; 8] = *b"upspanID";

/// Why a packet is sent, and what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub(crate) enum Traffic {
    /// Sent until somebody sees it.
    Probe,
    Udp,
    Udp6,
    Icmp,
    Icmp6,
    Vlan,
    VxlanOut,
    VxlanIn,
    GeneveOut,
    GeneveIn,
    /// Recirculated by connection tracking.
    Conntrack,
    /// To a controller that is not there, and on.
    Controller,
    /// Its flow drops.
    Dropped,
    /// Before and behind dropped ones.
    AroundDropped,
    Flood,
}

impl Traffic {
    const ALL: [Self; 15] = [
        Self::Probe,
        Self::Udp,
        Self::Udp6,
        Self::Icmp,
        Self::Icmp6,
        Self::Vlan,
        Self::VxlanOut,
        Self::VxlanIn,
        Self::GeneveOut,
        Self::GeneveIn,
        Self::Conntrack,
        Self::Controller,
        Self::Dropped,
        Self::AroundDropped,
        Self::Flood,
    ];
}

/// The mark of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mark {
    pub(crate) traffic: Traffic,
    pub(crate) number: u32,
}

impl Mark {
    /// Bytes of a payload with a mark.
    pub(crate) const LEN: usize = 32;

    /// What such a packet carries.
    pub(crate) fn payload(self) -> [u8; Self::LEN] {
        let mut payload = [0; Self::LEN];
        payload[..8].copy_from_slice(&MAGIC);
        payload[8..12].copy_from_slice(&(self.traffic as u32).to_be_bytes());
        payload[12..16].copy_from_slice(&self.number.to_be_bytes());
        payload
    }

    /// The mark of a packet that was captured far enough.
    pub(crate) fn find(packet: &[u8]) -> Option<Self> {
        let at = packet.windows(MAGIC.len()).position(|bytes| bytes == MAGIC)?;
        let (traffic, rest) = packet[at + MAGIC.len()..].split_first_chunk()?;
        let (number, _) = rest.split_first_chunk()?;
        let traffic = usize::try_from(u32::from_be_bytes(*traffic)).ok()?;
        Some(Self { traffic: *Traffic::ALL.get(traffic)?, number: u32::from_be_bytes(*number) })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.traffic, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_wherever_they_are() {
        for traffic in Traffic::ALL {
            let mark = Mark { traffic, number: 4711 };
            let packet = [&[9; 50][..], &mark.payload()].concat();
            assert_eq!(Mark::find(&packet), Some(mark));
            assert_eq!(Mark::find(&packet[..50 + 15]), None);
        }
    }
}
