//! What the kernel changes in a packet between tracepoint and delivery, and what it does not.

use super::*;
use crate::upcall::{FailedUpcall, MatchMethod};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// An Ethernet frame with IPv4 and this transport.
fn ipv4(protocol: u8, id: u16, transport: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0]);
    frame.extend(u16::try_from(20 + transport.len()).unwrap().to_be_bytes());
    frame.extend(id.to_be_bytes());
    frame.extend([0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(transport);
    frame
}

fn udp(destination: u16, checksum: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x30, 0x39];
    header.extend(destination.to_be_bytes());
    header.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    header.extend(checksum);
    [&header, payload].concat()
}

fn tcp(seq: u32, timestamp: u8, payload: usize) -> Vec<u8> {
    let mut header = vec![0x13, 0x88, 0x13, 0x89];
    header.extend(seq.to_be_bytes());
    header.extend([0, 0, 0, 9, 0x80, 0x10, 1, 0xf6, 0, 0, 0, 0]);
    header.extend([1, 1, 8, 10, 0, 0, 0, timestamp, 0, 0, 0, 0]);
    header.resize(header.len() + payload, 0);
    header
}

fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, 100], &frame[12..]].concat()
}

/// How the packet is matched if it was `sent` by the kernel and `received` by the thread.
fn matched(sent: Owned, received: Owned) -> Option<MatchMethod> {
    struct Matches(Vec<Option<MatchMethod>>);
    impl Sink for Matches {
        fn upcall(&mut self, upcall: &Upcall<'_>) {
            self.0.push(upcall.kernel.map(|kernel| kernel.matched));
        }
        fn failed(&mut self, _: &FailedUpcall<'_>) {}
        fn unmatched(&mut self, _: &Unmatched) {}
    }
    let mut matches = Matches(Vec::new());
    let mut correlator = Correlator::new(Config::default());
    correlator.push(&sent.event(0), &mut matches);
    correlator.push(&received.event(1), &mut matches);
    correlator.finish(&mut matches);
    assert_eq!(matches.0.len(), 1);
    matches.0[0]
}

fn sent(frame: &[u8]) -> Owned {
    Owned::new(EventKind::DpUpcall, 1, 7).packet(frame)
}

fn received(frame: &[u8]) -> Owned {
    Owned::new(EventKind::RecvUpcall, 2, 1).packet(frame)
}

/// The first bytes of a packet of this length.
fn cut(mut event: Owned, captured: usize) -> Owned {
    event.packet.truncate(captured);
    event
}

#[test]
fn the_same_bytes() {
    let frame = ipv4(UDP, 1, &udp(53, [0, 0], b"x"));
    assert_eq!(matched(sent(&frame), received(&frame)), Some(MatchMethod::Bytes));
}

#[test]
fn a_completed_checksum() {
    let frames = |checksum: [u8; 2]| ipv4(UDP, 1, &udp(53, checksum, b"x"));
    let matched = matched(sent(&frames([0x14, 0x67])), received(&frames([0x8b, 0x3b])));
    assert_eq!(matched, Some(MatchMethod::Checksum));
}

#[test]
fn a_completed_crc_of_sctp() {
    let frame =
        |crc: [u8; 4]| ipv4(SCTP, 1, &[&[0, 1, 0, 2, 0, 0, 0, 3], &crc[..], b"data"].concat());
    let matched = matched(sent(&frame([0; 4])), received(&frame([1, 2, 3, 4])));
    assert_eq!(matched, Some(MatchMethod::Checksum));
}

#[test]
fn completed_checksums_of_a_tunnel_packet_and_its_inner_packet() {
    let frame = |checksum: u8| {
        let inner = ipv4(TCP, 5, &tcp_with_checksum([checksum, 9]));
        ipv4(UDP, 1, &udp(4789, [checksum, 1], &[&[8, 0, 0, 0, 0, 0, 1, 0], &inner[..]].concat()))
    };
    assert_eq!(matched(sent(&frame(0)), received(&frame(7))), Some(MatchMethod::Checksum));
}

fn tcp_with_checksum(checksum: [u8; 2]) -> Vec<u8> {
    let mut header = tcp(1, 0, 10);
    header[16..18].copy_from_slice(&checksum);
    header
}

#[test]
fn any_other_difference_is_another_packet() {
    let frame = ipv4(UDP, 1, &udp(53, [0, 0], b"payload"));
    for at in 0..frame.len() {
        let mut other = frame.clone();
        other[at] ^= 1;
        let checksum = 40..42;
        let joined = matched(sent(&frame), received(&other)).is_some();
        assert_eq!(joined, checksum.contains(&at), "byte {at}");
    }
}

#[test]
fn a_pushed_vlan_tag() {
    let frame = ipv4(UDP, 1, &udp(53, [0, 0], &[7; 100]));
    let tagged = tagged(&frame);
    assert_eq!(matched(sent(&frame), received(&tagged)), Some(MatchMethod::Vlan));
    // The tag moves four bytes out of the capture.
    let (sent, received) = (cut(sent(&frame), 64), cut(received(&tagged), 64));
    assert_eq!(matched(sent, received), Some(MatchMethod::Vlan));
}

#[test]
fn the_linear_part_of_a_packet() {
    let frame = ipv4(TCP, 1, &tcp(1, 0, 169));
    assert_eq!(matched(cut(sent(&frame), 66), received(&frame)), Some(MatchMethod::Prefix));
}

#[test]
fn a_segment_of_a_super_packet() {
    let whole = ipv4(TCP, 100, &tcp(u32::MAX - 1000, 3, 4344));
    let second = ipv4(TCP, 101, &tcp(447, 3, 1448));
    assert_eq!(matched(cut(sent(&whole), 66), received(&second)), Some(MatchMethod::Prefix));
    let tagged = tagged(&second);
    assert_eq!(matched(cut(sent(&whole), 66), received(&tagged)), Some(MatchMethod::Prefix));
}

#[test]
fn a_segment_that_was_sent_again_is_not_of_the_super_packet() {
    let whole = ipv4(TCP, 100, &tcp(1000, 3, 4344));
    for other in [
        ipv4(TCP, 250, &tcp(2448, 3, 1448)),
        ipv4(TCP, 101, &tcp(2448, 4, 1448)),
        ipv4(TCP, 103, &tcp(5344, 3, 1448)),
        ipv4(TCP, 101, &tcp(2000, 3, 1448)),
    ] {
        assert_eq!(matched(cut(sent(&whole), 66), received(&other)), None);
    }
}

#[test]
fn the_longest_match_is_the_one() {
    let frame = ipv4(UDP, 1, &udp(53, [0, 0], b"payload"));
    let events = [cut(sent(&frame), 14), sent(&frame), received(&frame), received(&frame)];
    let sets = correlate(Config::default(), &events).sorted();
    let dp_upcalls: Vec<_> = sets.iter().map(|set| set[&EventKind::DpUpcall]).collect();
    assert_eq!(dp_upcalls, [1, 0]);
}

#[test]
fn segments_of_absurd_lengths() {
    let segment = ipv4(TCP, 101, &tcp(0, 3, 0));
    let long = |mut event: Owned, len: u32| {
        event.len = len;
        event
    };
    let whole = long(sent(&ipv4(TCP, 101, &tcp(0, 3, 0))), u32::MAX);
    let events =
        [whole, long(received(&segment), 0xf000_0000), long(received(&segment), 0xf000_0000)];
    assert_eq!(correlate(Config::default(), &events).sets.len(), 2);
}

#[test]
fn waiting_packets_are_bounded_in_bytes() {
    let config = Config { max_waiting_bytes: 10 * 2048, ..Config::default() };
    let events: Vec<Owned> =
        (0..30).map(|id| sent(&ipv4(UDP, id, &udp(53, [0, 0], &[1; 9000])))).collect();
    let evicted = correlate(config, &events)
        .unmatched
        .iter()
        .filter(|(_, _, reason)| *reason == UnmatchedReason::Evicted)
        .count();
    assert_eq!(evicted, 20);
}
