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
pub(super) const PUSHED_TAG_LEN: u32 = 4;

/// The stretch of a TCP connection that a packet carries: what tells which GSO super-packet a
/// segment was cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcpStretch {
    /// Hash of both addresses and ports.
    pub(super) connection: u64,
    /// First sequence number.
    pub(super) seq: u32,
    /// Payload length in bytes.
    pub(super) payload: u32,
}

impl TcpStretch {
    /// Of a packet of `len` bytes whose first ones are `bytes`; `None` without TCP payload.
    pub(super) fn of(bytes: &[u8], len: u32, seed: &foldhash::fast::FixedState) -> Option<Self> {
        let tcp = transport(bytes, 0)?;
        if tcp.protocol != IPPROTO_TCP {
            return None;
        }
        let mut hasher = seed.build_hasher();
        hasher.write(bytes.get(tcp.addresses.0..tcp.addresses.1)?);
        hasher.write(bytes.get(tcp.offset..tcp.offset + 4)?);
        let header_len = usize::from(*bytes.get(tcp.offset + 12)? >> 4) * 4;
        let start = tcp.offset + header_len;
        let len = usize::try_from(len).ok()?;
        // BIG TCP super-packets and those of some drivers have an IP length of 0 or too small.
        let end = if len > MAX_PADDED_LEN { len } else { tcp.end.min(len) };
        let payload = u32::try_from(end.checked_sub(start)?).ok().filter(|&n| n > 0)?;
        Some(Self { connection: hasher.finish(), seq: be32(bytes, tcp.offset + 4)?, payload })
    }

    /// Whether `segment` lies wholly within this stretch.
    pub(super) fn holds(&self, segment: &Self) -> bool {
        let offset = segment.seq.wrapping_sub(self.seq);
        self.connection == segment.connection
            && offset < self.payload
            && segment.payload <= self.payload - offset
    }
}

/// Ethernet pads frames to this length; a longer one carries no padding.
const MAX_PADDED_LEN: usize = 64;
