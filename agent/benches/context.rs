//! Nanoseconds to look for a trace context in a packet, mostly in vain.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use etherparse::{PacketBuilder, ip_number};
use upspan::enrich::PacketContext;
use upspan::event::Packet;

/// What live capture has of a packet by default.
const CAPTURED: usize = 256;
/// No operation twice, and a timestamp, as Linux sends them.
const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0xbe, 0x94, 0x3f, 0x1e, 0xba, 0xea, 0xc1, 0x29];
const TRACEPARENT: &str =
    "traceparent: 00-0af7651916cd43dd8448eb211c000000-b7ad6b7169200000-01\r\n";

fn builder() -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(
        [10, 0, 0, 1],
        [10, 0, 0, 2],
        64,
    )
}

fn captured(mut packet: Vec<u8>) -> Vec<u8> {
    packet.truncate(CAPTURED);
    packet
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    builder().udp(40_000, port).write(&mut packet, payload).expect("memory");
    captured(packet)
}

fn tcp(payload: &[u8]) -> Vec<u8> {
    captured(segment(payload))
}

fn segment(payload: &[u8]) -> Vec<u8> {
    let header = [0x9c, 0x40, 0x1f, 0x90, 0, 0, 0, 1, 0, 0, 0, 2, 8 << 4, 0x18, 1, 0, 0, 0, 0, 0];
    let mut packet = Vec::new();
    let segment = [&header[..], &OPTIONS, payload].concat();
    builder().write(&mut packet, ip_number::TCP, &segment).expect("memory");
    packet
}

/// A segment that is a header block of 8 KiB: as many table entries as are remembered, and then
/// references to one that is not, each of which is looked for among them.
fn bomb() -> Vec<u8> {
    let mut block = b"\x40\x02b3\x01a".repeat(32);
    block.extend(b"\x40\x01a\x01b");
    block.resize(8 << 10, 0x80 | 62);
    segment(&[b"\0\x20\0\x01\x04\0\0\0\x01", &block[..]].concat())
}

/// All packets, each with whether it carries a context.
fn packets() -> [(&'static str, Vec<u8>, bool); 9] {
    let head = "GET /a/path?with=query HTTP/1.1\r\nHost: a.example\r\nUser-Agent: bench\r\n\
                Accept: */*\r\nAccept-Encoding: gzip\r\n";
    let inner = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &tcp(&[0x16; 100])].concat();
    // A request of gRPC without a context, behind the preface and SETTINGS.
    let http2 = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x2e\x01\x04\0\0\0\x01"[..],
        b"\x83\x86\x40\x05:path\x0e/shop.Cart/Add\x40\x0ccontent-type\x05grpc+",
    ];
    [
        ("udp", udp(53, &[0x5a; 200]), false),
        ("tcp_ack", tcp(b""), false),
        ("tcp_binary", tcp(&[0x16; 1000]), false),
        ("tcp_text", tcp(&[b'A'; 1000]), false),
        ("vxlan", udp(4789, &inner), false),
        ("http1_without", tcp(format!("{head}\r\n").as_bytes()), false),
        ("http2_without", tcp(&http2.concat()), false),
        ("http2_bomb", bomb(), false),
        ("http1_with", tcp(format!("{head}{TRACEPARENT}\r\n").as_bytes()), true),
    ]
}

fn context(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("context");
    for (name, bytes, carries_one) in packets() {
        let packet = Packet { len: bytes.len() as u32, bytes: &bytes };
        assert_eq!(PacketContext::of(&packet).is_some(), carries_one, "{name}");
        group.bench_with_input(BenchmarkId::from_parameter(name), &packet, |bencher, packet| {
            bencher.iter(|| PacketContext::of(black_box(packet)));
        });
    }
    group.finish();
}

criterion_group!(benches, context);
criterion_main!(benches);
