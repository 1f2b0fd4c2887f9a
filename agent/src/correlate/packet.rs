//! What identifies a packet on its way from the tracepoint to the handler thread, although the
//! kernel prepares it for delivery in between (`queue_userspace_packet` in net/openvswitch/datapath.c).

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

/// EtherTypes that open a VLAN tag: 802.1Q and 802.1ad.
const TPIDS: [u16; 2] = [0x8100, 0x88a8];
const ETH_TYPE_OFFSET: usize = 12;
const VLAN_TAG_LEN: usize = 4;
const ETH_P_IPV4: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_SCTP: u8 = 132;
/// UDP ports of the tunnels that the kernel datapath ends: VXLAN and Geneve. Both have headers of
/// 8 bytes (and options, for Geneve) before the inner Ethernet frame.
const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;
const TUNNEL_HEADER_LEN: usize = 8;
/// IPv6 extension headers that may stand before the transport: hop-by-hop, routing, destination.
const IPV6_EXTENSIONS: [u8; 3] = [0, 43, 60];
const MAX_IPV6_EXTENSIONS: usize = 8;

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Where the transport header of a frame lies.
#[derive(Clone, Copy)]
struct Transport {
    protocol: u8,
    offset: usize,
    /// Source and destination address.
    addresses: (usize, usize),
    /// Identification of IPv4.
    id: Option<u16>,
    /// End of the IP packet by its own length field, which leaves out Ethernet padding.
    end: usize,
}

/// Finds the transport header of the Ethernet frame that starts at `at`. Fragments other than the
/// first have none.
fn transport(bytes: &[u8], at: usize) -> Option<Transport> {
    let mut ip = at + ETH_TYPE_OFFSET + 2;
    let mut ethertype = be16(bytes, ip - 2)?;
    for _ in 0..2 {
        if TPIDS.contains(&ethertype) {
            ip += VLAN_TAG_LEN;
            ethertype = be16(bytes, ip - 2)?;
        }
    }
    match ethertype {
        ETH_P_IPV4 => {
            let header_len = usize::from(*bytes.get(ip)? & 0xf) * 4;
            let fragment_offset = be16(bytes, ip + 6)? & 0x1fff;
            if header_len < 20 || fragment_offset != 0 {
                return None;
            }
            Some(Transport {
                protocol: *bytes.get(ip + 9)?,
                offset: ip + header_len,
                addresses: (ip + 12, ip + 20),
                id: Some(be16(bytes, ip + 4)?),
                end: ip + usize::from(be16(bytes, ip + 2)?),
            })
        }
        ETH_P_IPV6 => {
            let mut protocol = *bytes.get(ip + 6)?;
            let mut offset = ip + 40;
            for _ in 0..MAX_IPV6_EXTENSIONS {
                if !IPV6_EXTENSIONS.contains(&protocol) {
                    break;
                }
                protocol = *bytes.get(offset)?;
                offset += (usize::from(*bytes.get(offset + 1)?) + 1) * 8;
            }
            Some(Transport {
                protocol,
                offset,
                addresses: (ip + 8, ip + 40),
                id: None,
                end: ip + 40 + usize::from(be16(bytes, ip + 4)?),
            })
        }
        _ => None,
    }
}

impl Transport {
    fn checksum(&self) -> Option<Range<usize>> {
        let at = self.offset;
        match self.protocol {
            IPPROTO_TCP => Some(at + 16..at + 18),
            IPPROTO_UDP => Some(at + 6..at + 8),
            // The kernel completes SCTP's CRC32c just as it does a checksum.
            IPPROTO_SCTP => Some(at + 8..at + 12),
            _ => None,
        }
    }

    /// Start of the inner Ethernet frame, if this is the outer header of VXLAN or Geneve.
    fn inner_frame(&self, bytes: &[u8]) -> Option<usize> {
        if self.protocol != IPPROTO_UDP {
            return None;
        }
        let after_udp = self.offset + 8;
        match be16(bytes, self.offset + 2)? {
            VXLAN_PORT => Some(after_udp + TUNNEL_HEADER_LEN),
            GENEVE_PORT => {
                let options = usize::from(*bytes.get(after_udp)? & 0x3f) * 4;
                Some(after_udp + TUNNEL_HEADER_LEN + options)
            }
            _ => None,
        }
    }
}

/// The L4 checksum fields of a packet, which the kernel may complete between tracepoint and
/// delivery: the outer one, and the inner one of a tunnel packet. Where one does not exist its
/// range lies past the end, so that a packet and its own captured prefix hash alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChecksumFields([Range<usize>; 2]);

impl Default for ChecksumFields {
    fn default() -> Self {
        Self([usize::MAX..usize::MAX, usize::MAX..usize::MAX])
    }
}

impl ChecksumFields {
    pub(super) fn find(bytes: &[u8]) -> Self {
        let mut fields = Self::default();
        let Some(outer) = transport(bytes, 0) else { return fields };
        if let Some(checksum) = outer.checksum() {
            fields.0[0] = checksum;
            let inner = outer.inner_frame(bytes).and_then(|at| transport(bytes, at)?.checksum());
            if let Some(checksum) = inner {
                fields.0[1] = checksum;
            }
        }
        fields
    }

    /// The parts of `bytes` outside of the checksum fields.
    fn outside<'a>(&self, bytes: &'a [u8]) -> [&'a [u8]; 3] {
        let clip = |at: usize| at.min(bytes.len());
        let [first, second] = &self.0;
        [
            &bytes[..clip(first.start)],
            &bytes[clip(first.end)..clip(second.start)],
            &bytes[clip(second.end)..],
        ]
    }

    /// Whether `a` and `b`, of the same length, agree outside of the checksum fields.
    pub(super) fn agree(&self, a: &[u8], b: &[u8]) -> bool {
        self.outside(a) == self.outside(b)
    }

    /// A hash of `bytes` that leaves out the checksum fields.
    pub(super) fn hash(&self, bytes: &[u8], seed: &foldhash::fast::FixedState) -> u64 {
        let mut hasher = seed.build_hasher();
        for part in self.outside(bytes) {
            hasher.write(part);
        }
        hasher.finish()
    }
}

/// Writes the packet without its outer VLAN tag into `out`; `false` when it has none.
pub(super) fn without_vlan_tag(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let tagged = be16(bytes, ETH_TYPE_OFFSET).is_some_and(|tpid| TPIDS.contains(&tpid));
    if tagged && bytes.len() >= ETH_TYPE_OFFSET + VLAN_TAG_LEN {
        out.clear();
        out.extend_from_slice(&bytes[..ETH_TYPE_OFFSET]);
        out.extend_from_slice(&bytes[ETH_TYPE_OFFSET + VLAN_TAG_LEN..]);
        return true;
    }
    false
}

/// Length in bytes of the VLAN tag that the kernel pushes on delivery.
pub(super) const PUSHED_TAG_LEN: u16 = 4;

/// The stretch of a TCP connection that a packet carries, with what `tcp_gso_segment` (the kernel's
/// net/ipv4/tcp_offload.c) copies from a super-packet to each of its segments: together they tell
/// which super-packet a segment was cut from, also where it was sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcpStretch {
    /// Hash of what all segments have in common: addresses, ports, acknowledgement, window and
    /// options (so, the timestamps).
    pub(super) common: u64,
    /// First sequence number.
    pub(super) seq: u32,
    /// Payload length in bytes.
    pub(super) payload: u32,
    /// Identification of IPv4, which counts up by one a segment.
    id: Option<u16>,
}

impl TcpStretch {
    /// Of a packet of `len` bytes whose first ones are `bytes`; `None` without TCP payload.
    pub(super) fn of(bytes: &[u8], len: u32, seed: &foldhash::fast::FixedState) -> Option<Self> {
        let tcp = transport(bytes, 0)?;
        if tcp.protocol != IPPROTO_TCP {
            return None;
        }
        let at = tcp.offset;
        let header_len = usize::from(*bytes.get(at + 12)? >> 4) * 4;
        let mut hasher = seed.build_hasher();
        for common in [
            tcp.addresses.0..tcp.addresses.1,
            at..at + 4,
            at + 8..at + 12,
            at + 14..at + 16,
            at + 20..at + header_len,
        ] {
            hasher.write(bytes.get(common)?);
        }
        let len = usize::try_from(len).ok()?;
        // BIG TCP super-packets have an IP length of 0.
        let end = if len > MAX_PADDED_LEN { len } else { tcp.end.min(len) };
        let payload = end.checked_sub(at + header_len)?;
        Some(Self {
            common: hasher.finish(),
            seq: be32(bytes, at + 4)?,
            payload: u32::try_from(payload).ok().filter(|&payload| payload > 0)?,
            id: tcp.id,
        })
    }

    /// Whether `segment` was cut from this super-packet.
    pub(super) fn holds(&self, segment: &Self) -> bool {
        let offset = segment.seq.wrapping_sub(self.seq);
        let index = match (self.id, segment.id) {
            (Some(first), Some(id)) => Some(u32::from(id.wrapping_sub(first))),
            _ => None,
        };
        self.common == segment.common
            && offset < self.payload
            && segment.payload <= self.payload - offset
            && index.is_none_or(|index| match offset.checked_div(index) {
                Some(full) => offset.is_multiple_of(index) && segment.payload <= full,
                None => offset == 0,
            })
    }
}

/// Ethernet pads frames to this length; a longer one carries no padding.
const MAX_PADDED_LEN: usize = 64;
