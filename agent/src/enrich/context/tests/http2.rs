//! Frames of HTTP/2.

use http::{HeaderMap, Request};
use tokio::io::AsyncReadExt;

use super::made::{TRACE, block, frame};
use super::*;
use crate::enrich::test_bytes::hex;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FOUND: Option<(u128, ContextMethod)> = Some((TRACE, ContextMethod::Traceparent));

/// First and second request of a connection of gRPC's C core (grpcio 1.85.3 for Python).
const GRPC_FIRST: &str = "
    00015801040000000140053a706174680e2f73686f702e436172742f416464400a3a617574686f726974790f31
    32372e302e302e313a35323834358386400c636f6e74656e742d74797065106170706c69636174696f6e2f6772
    70634002746508747261696c6572734014677270632d6163636570742d656e636f64696e67176964656e746974
    792c206465666c6174652c20677a6970400c677270632d74696d656f757405313530306d400a757365722d6167
    656e7430677270632d707974686f6e2f312e38352e3320677270632d632f35382e302e3020286c696e75783b20
    63687474703229000b7472616365706172656e743730302d346266393266333537376233346461366133636539
    32396430653065343733362d303066303637616130626139303230302d3031000a747261636573746174652763
    6f6e676f3d7436317263576b674d7a452c726f6a6f3d3030663036376161306261393032623700000408000000
    00010000000500000a000100000001000000000568656c6c6f00000408000000000000000005";
const GRPC_SECOND: &str = "
    000095010400000003c4c38386c2c1c0400c677270632d74696d656f757405313531306dbf000b747261636570
    6172656e743730302d34626639326633353737623334646136613363653932396430653065343733362d303066
    303637616130626139303230312d3031000a7472616365737461746527636f6e676f3d7436317263576b674d7a
    452c726f6a6f3d303066303637616130626139303262370000040800000000030000000500000a000100000003
    000000000568656c6c6f00000408000000000000000005";

#[test]
fn requests_of_grpc() {
    for (request, span) in [(GRPC_FIRST, 0), (GRPC_SECOND, 1)] {
        let context = find(&ethernet(&tcp(&[], &hex(request)))).unwrap();
        let sent = context.span_context();
        assert_eq!(sent.trace_id(), TRACE.into());
        assert_eq!(sent.span_id(), (0x00f0_67aa_0ba9_0200 + span).into());
        assert_eq!(sent.trace_state().header(), "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
        assert_eq!(context.method(), ContextMethod::Traceparent);
    }
}

/// What the client of the crate `h2`, which is tonic's, writes for requests with these headers.
async fn written(requests: Vec<HeaderMap>) -> Vec<Vec<u8>> {
    let (client, mut server) = tokio::io::duplex(1 << 16);
    let (mut client, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let (mut all, mut responses) = (Vec::new(), Vec::new());
    for headers in requests {
        let mut request = Request::get("http://a.example/path").body(()).unwrap();
        *request.headers_mut() = headers;
        responses.push(client.send_request(request, true).unwrap());
        let mut written = vec![0; 1 << 14];
        let mut len = 0;
        while block_of(&written[..len]).is_none() {
            len += server.read(&mut written[len..]).await.unwrap();
        }
        written.truncate(len);
        all.push(written);
    }
    all
}

/// The content of the first HEADERS frame, once it is whole.
fn block_of(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    loop {
        let &[l0, l1, l2, kind, ..] = rest else { return None };
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let content = rest.get(9..9 + len)?;
        if kind == 1 {
            return Some(content);
        }
        rest = &rest[9 + len..];
    }
}

fn headers(trace: u128, state: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", "h2".parse().unwrap());
    let value = format!("00-{trace:032x}-00f067aa0ba902b7-01");
    headers.insert("traceparent", value.parse().unwrap());
    headers.insert("tracestate", state.parse().unwrap());
    headers
}

#[tokio::test]
async fn requests_of_h2() {
    let requests = [headers(TRACE, "a=1"), headers(TRACE, "a=1"), headers(7, "a=2")];
    let written = written(requests.to_vec()).await;
    assert!(written[0].starts_with(PREFACE));
    let first = find(&ethernet(&tcp(&[], &written[0]))).unwrap();
    assert_eq!(first.span_context().trace_id(), TRACE.into());
    assert_eq!(first.span_context().trace_state().header(), "a=1");
    // The later ones refer to entries of the first: alone, they say nothing that is certain.
    assert_eq!(payload(&written[1]), None);
    assert_eq!(payload(&written[2]), None);
    // With those before them, they do.
    let blocks: Vec<_> = written.iter().map(|bytes| block_of(bytes).unwrap()).collect();
    let mut decoder = hpack::Decoder::default();
    for (block, trace) in blocks.into_iter().zip([TRACE, TRACE, 7]) {
        let context = decoder.request(block).0.context().unwrap();
        assert_eq!(context.span_context().trace_id(), trace.into());
    }
}

#[test]
fn other_frames_come_first() {
    let settings = frame(4, 0, 0, &[0, 3, 0, 0, 0, 1]);
    let window = frame(8, 0, 0, &[0, 1, 0, 0]);
    let before = [
        frame(4, 1, 0, &[]),
        frame(6, 0, 0, &[0; 8]),
        frame(2, 0, 3, &[0; 5]),
        frame(0, 1, 1, b"body"),
        frame(3, 0, 1, &[0; 4]),
        frame(16, 0, 0, b"\0\0\0\x01u=1"),
    ];
    let request = frame(1, 5, 3, &block(TRACE));
    assert_eq!(payload(&[PREFACE, &settings, &window, &request].concat()), FOUND);
    assert_eq!(payload(&[&before.concat()[..], &request].concat()), FOUND);
}

#[test]
fn what_clients_do_not_send_ends_the_search() {
    let request = frame(1, 5, 1, &block(TRACE));
    for other in [
        frame(1, 5, 2, &[0x84]),
        frame(1, 5, 0, &[0x84]),
        frame(1, 0x45, 1, &[0x84]),
        frame(4, 0, 1, &[]),
        frame(4, 0, 0, &[0; 5]),
        frame(5, 4, 1, &[0; 4]),
        frame(6, 0, 0, &[0; 7]),
        frame(8, 0, 0, &[0; 5]),
        frame(7, 0, 0, &[0; 7]),
        frame(10, 0, 0, &[]),
        frame(9, 4, 1, &[0x84]),
        b"\0\0".to_vec(),
    ] {
        assert_eq!(payload(&[&other[..], &request].concat()), None, "{other:?}");
    }
    assert_eq!(payload(&[&[0, 0x40, 1, 0, 0, 0, 0, 0, 1][..], &request].concat()), None);
}

#[test]
fn padding_and_priority_are_not_in_the_block() {
    let block = block(TRACE);
    let padded = [&[3], &block[..], &[0; 3]].concat();
    let priority = [&[0x80, 0, 0, 1, 9], &block[..]].concat();
    let both = [&[2, 0, 0, 0, 1, 9], &block[..], &[0; 2]].concat();
    for (flags, content) in [(0x0d, padded), (0x25, priority), (0x2d, both)] {
        assert_eq!(payload(&frame(1, flags, 1, &content)), FOUND, "{flags:#x}");
    }
    for (flags, content) in [(0x0c, &[9, 0x84][..]), (0x0c, &[]), (0x24, &[0; 4])] {
        assert_eq!(payload(&frame(1, flags, 1, content)), None);
    }
    // All but the first of its fields is padding, of which nothing was captured.
    let mut cut = frame(1, 0x0d, 1, &[&[60], &block[..], &[0; 2]].concat());
    cut.truncate(cut.len() - 2);
    assert_eq!(payload(&cut), None);
}

#[test]
fn a_block_goes_on_in_continuations() {
    let block = block(TRACE);
    for at in 0..block.len() {
        let (first, rest) = block.split_at(at);
        let (second, third) = rest.split_at(rest.len() / 2);
        let frames =
            [frame(1, 1, 1, first), frame(9, 0, 1, second), frame(9, 4, 1, third)].concat();
        assert_eq!(payload(&frames), FOUND, "split at {at}");
        for other in [frame(9, 4, 3, rest), frame(0, 0, 1, rest)] {
            assert_eq!(payload(&[frame(1, 1, 1, first), other].concat()), None);
        }
    }
}

#[test]
fn the_first_request_with_a_context_is_it() {
    let without = frame(1, 5, 1, &[0x82, 0x84]);
    let (first, second) = (frame(1, 5, 3, &block(TRACE)), frame(1, 5, 5, &block(7)));
    assert_eq!(payload(&[without, first, second].concat()), FOUND);
}

#[test]
fn nothing_counts_behind_a_block_that_makes_no_sense() {
    let (wrong, request) = (frame(1, 5, 1, &[0x80]), frame(1, 5, 3, &block(TRACE)));
    assert_eq!(payload(&[wrong, request].concat()), None);
}

#[test]
fn a_header_counts_once_it_is_whole() {
    let block = block(TRACE);
    let request = [PREFACE, &frame(1, 5, 1, &[&block[..], &[0x84]].concat())].concat();
    for len in 0..request.len() {
        let expected = FOUND.filter(|_| len >= PREFACE.len() + 9 + block.len());
        assert_eq!(payload(&request[..len]), expected, "cut to {len}");
    }
}

proptest! {
    #[test]
    fn any_frames_are_read(
        frames in prop::collection::vec(
            (0_u8..11, any::<u8>(), 0_u32..4, prop::collection::vec(any::<u8>(), 0..60)), 0..6,
        ),
    ) {
        let frames = frames.iter().map(|(kind, flags, stream, payload)| {
            frame(*kind, *flags & 0x2d, *stream, payload)
        });
        payload(&[PREFACE, &frames.collect::<Vec<_>>().concat()].concat());
    }
}
