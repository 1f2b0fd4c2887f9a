//! Packets made for a test.

use etherparse::PacketBuilder;

/// The trace id that tests send.
pub(super) const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

/// A `traceparent` header, with the end of its line.
pub(super) fn traceparent(trace: u128) -> String {
    format!("traceparent: 00-{trace:032x}-00f067aa0ba902b7-01\r\n")
}

/// A TCP header with these options, and a payload. The options fill up whole words.
pub(super) fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 4, 0);
    let mut tcp = vec![0x9c, 0x40, 0x1f, 0x90, 0, 0, 0, 1, 0, 0, 0, 2];
    tcp.extend([u8::try_from(5 + options.len() / 4).unwrap() << 4, 0x18, 1, 0, 0, 0, 0, 0]);
    tcp.extend(options);
    tcp.extend(payload);
    tcp
}

/// An Ethernet frame of IPv4 and this TCP segment.
pub(super) fn ethernet(tcp: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .write(&mut packet, etherparse::ip_number::TCP, tcp)
        .unwrap();
    packet
}

/// A frame of HTTP/2.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block with a `traceparent`.
pub(super) fn block(trace: u128) -> Vec<u8> {
    let value = format!("00-{trace:032x}-00f067aa0ba902b7-01");
    [b"\x83\x86\x84\x40\x0btraceparent\x37", value.as_bytes()].concat()
}

/// A packet of each kind that carries a context.
pub(super) fn all() -> Vec<Vec<u8>> {
    let b3 =
        "POST /a?b=c HTTP/1.0\r\nb3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d\r\n\r\n";
    let multiple = "GET / HTTP/1.1\r\nX-B3-TraceId: 80f198ee56343ba864fe8b2a57d3eff7\r\n\
                    X-B3-SpanId: e457b5a2e4d86bd1\r\nX-B3-Sampled: 0\r\n\r\n";
    let http2 =
        [super::http2::PREFACE.to_vec(), frame(4, 0, 0, &[]), frame(1, 5, 1, &block(TRACE))];
    let segments = [
        tcp(&[], &super::request()),
        tcp(&[], b3.as_bytes()),
        tcp(&[], multiple.as_bytes()),
        tcp(&[], &http2.concat()),
        tcp(&[], &frame(1, 5, 3, &block(TRACE))),
        tcp(&super::option(), b"\x00\x01binary"),
    ];
    let mut packets: Vec<_> = segments.iter().map(|segment| ethernet(segment)).collect();
    packets.push(super::tunnels::vxlan(&packets[0]));
    packets.push(super::tunnels::geneve(&[0; 8], &packets[0]));
    packets
}
