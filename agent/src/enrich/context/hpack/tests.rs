use opentelemetry::trace::TraceId;
use proptest::prelude::*;

use super::*;
use crate::enrich::context::MAX_PAYLOAD;
use crate::enrich::test_bytes::hex;

const VALUE: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

/// How a literal field is represented, its name not indexed.
const ADDED: u8 = 0x40;
const NOT_ADDED: u8 = 0x00;
const NEVER_ADDED: u8 = 0x10;

fn plain(text: &[u8]) -> Vec<u8> {
    assert!(text.len() < 0x7f);
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

fn huffman(text: &[u8]) -> Vec<u8> {
    let mut code = Vec::new();
    httlib_huffman::encode(text, &mut code).unwrap();
    code.insert(0, 0x80 | u8::try_from(code.len()).unwrap());
    code
}

fn literal(kind: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[kind], &plain(name)[..], &plain(value)].concat()
}

fn trace_id(carrier: &Carrier<'_>) -> Option<TraceId> {
    carrier.context().map(|context| context.span_context().trace_id())
}

fn decode(block: &[u8]) -> Option<TraceId> {
    trace_id(&Decoder::default().request(block).0)
}

#[test]
fn integers_of_the_specification() {
    // RFC 7541, appendix C.1.
    let read = |bytes: &[u8], prefix| {
        let mut reader = Reader(bytes);
        reader.integer(prefix).map(|value| (value, reader.0.len()))
    };
    assert_eq!(read(&[0b1110_1010, 7], 5), Some((10, 1)));
    assert_eq!(read(&[0x1f, 0x9a, 0x0a], 5), Some((1337, 0)));
    assert_eq!(read(&[42], 8), Some((42, 0)));
    assert_eq!(read(&[0x7f, 0xff, 0xff, 0xff, 0x7f], 7), Some((0x0fff_ffff + 0x7f, 0)));
    for endless in [&[0x7f, 0xff, 0xff, 0xff, 0xff, 0][..], &[0x7f, 0x80], &[0x7f], &[]] {
        assert_eq!(read(endless, 7), None);
    }
}

#[test]
fn requests_of_the_specification_are_read_to_their_ends() {
    // RFC 7541, appendices C.3 and C.4: three requests of one connection.
    let plain = [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ];
    let huffman = [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ];
    for requests in [plain, huffman] {
        let mut decoder = Decoder::default();
        for block in requests {
            let (carrier, ended) = decoder.request(&hex(block));
            assert!(ended && carrier.context().is_none());
        }
        assert_eq!(decoder.added, 3);
        assert!(decoder.remembered.is_empty());
    }
}

#[test]
fn each_representation_counts() {
    for kind in [ADDED, NOT_ADDED, NEVER_ADDED] {
        let name = b"traceparent";
        for name in [plain(name), huffman(name)] {
            for value in [plain(VALUE), huffman(VALUE)] {
                let block = [&[0x83, kind], &name[..], &value].concat();
                assert_eq!(decode(&block), Some(TRACE.into()));
            }
        }
    }
    let block = literal(NOT_ADDED, b"Traceparent", VALUE);
    assert_eq!(decode(&block), None, "names are in lower case");
}

#[test]
fn a_later_request_refers_to_what_an_earlier_one_added() {
    let mut decoder = Decoder::default();
    let first = [
        literal(ADDED, b"x-first", b"1"),
        literal(ADDED, b"traceparent", VALUE),
        literal(ADDED, b"x-last", b"2"),
    ];
    assert_eq!(trace_id(&decoder.request(&first.concat()).0), Some(TRACE.into()));
    // Two entries are newer than its own, at 62 and 63.
    let second = [literal(ADDED, b"x-more", b"3"), vec![0x80 | 64]].concat();
    assert_eq!(trace_id(&decoder.request(&second).0), Some(TRACE.into()));
    // The name of entry 64, with another value.
    let mut value = VALUE.to_vec();
    value[3] = b'f';
    let third = [&[0x0f, 64 - 15], &plain(&value)[..]].concat();
    assert_eq!(trace_id(&decoder.request(&third).0).unwrap().to_bytes()[0], 0xfb);
    assert_eq!(trace_id(&decoder.request(&[0x80 | 65]).0), None, "x-first");
}

#[test]
fn entries_that_were_added_elsewhere_make_one_header_unknown() {
    let unseen = [
        vec![0x80 | 62],
        vec![0xff, 0x80, 0x7f],
        [&[ADDED | 0x3f, 0x20], &plain(VALUE)[..]].concat(),
        [&[0x0f, 0x30], &plain(b"any")[..]].concat(),
    ];
    let block = [unseen.concat(), literal(ADDED, b"traceparent", VALUE)].concat();
    let (carrier, ended) = Decoder::default().request(&block);
    assert!(ended);
    assert_eq!(trace_id(&carrier), Some(TRACE.into()));
}

#[test]
fn a_table_size_is_stepped_over() {
    let block = [&[0x20, 0x3f, 0xe1, 0x1f], &literal(ADDED, b"traceparent", VALUE)[..]].concat();
    assert_eq!(decode(&block), Some(TRACE.into()));
}

#[test]
fn responses_are_no_requests() {
    let header = literal(NOT_ADDED, b"traceparent", VALUE);
    for status in [vec![0x88], vec![0x8e], [&[0x48], &plain(b"302")[..]].concat()] {
        for block in [[&status[..], &header].concat(), [&header[..], &status].concat()] {
            let (carrier, ended) = Decoder::default().request(&block);
            assert!(carrier.context().is_none() && !ended);
        }
    }
}

#[test]
fn a_header_counts_once_it_is_whole() {
    let header = literal(ADDED, b"traceparent", VALUE);
    let block = [&[0x83][..], &header, &[0x84, 0x41, 0x05, b'x']].concat();
    for len in 0..block.len() {
        let expected = (len > header.len()).then(|| TRACE.into());
        assert_eq!(decode(&block[..len]), expected, "cut to {len}");
    }
}

#[test]
fn a_bomb_stays_small() {
    // A large entry, and as many references to it as fit.
    let value = [b'a'; MAX_VALUE];
    for name in [&b"tracestate"[..], b"b3"] {
        let mut bomb = [&[ADDED], &plain(name)[..], &[0x7f, 0x81, 0x07], &value].concat();
        bomb.resize(MAX_PAYLOAD, 0x80 | 62);
        let mut decoder = Decoder::default();
        let (carrier, ended) = decoder.request(&bomb);
        assert!(!ended && carrier.context().is_none());
        assert_eq!(decoder.taken, MAX_TAKEN + 1);
    }
    let mut decoder = Decoder::default();
    for _ in 0..1000 {
        decoder.request(&literal(ADDED, b"traceparent", VALUE));
    }
    assert_eq!(decoder.remembered.len(), MAX_REMEMBERED);
}

#[test]
fn values_that_make_no_sense_are_unknown() {
    let long = [&[NOT_ADDED], &plain(b"b3")[..], &[0x7f, 0x82, 0x07], &[0; 1025]].concat();
    let (carrier, ended) = Decoder::default().request(&long);
    assert!(ended && carrier.context().is_none());
    // The end of string symbol must not be in a string.
    let eos = [&[NOT_ADDED], &plain(b"traceparent")[..], &[0x84, 0xff, 0xff, 0xff, 0xff]];
    let block = [eos.concat(), literal(ADDED, b"traceparent", VALUE)].concat();
    assert_eq!(decode(&block), Some(TRACE.into()));
}

proptest! {
    #[test]
    fn any_blocks_are_read(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
    ) {
        let mut decoder = Decoder::default();
        for block in blocks {
            decoder.request(&block);
        }
    }

    #[test]
    fn any_huffman_code_is_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..1100)) {
        let text = Text { is_huffman: true, bytes: &bytes }.decode();
        prop_assert!(text.is_none_or(|text| text.len() * 5 <= bytes.len() * 8));
    }

    #[test]
    fn any_text_is_read_back(text in prop::collection::vec(any::<u8>(), 0..30)) {
        for encoded in [plain(&text), huffman(&text)] {
            let read = Reader(&encoded).text().and_then(Text::decode);
            prop_assert_eq!(read.as_ref(), Some(&text));
        }
    }
}
