//! Properties that hold for any input.

use std::fmt::Write as _;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::writer::{EventText, PORT_MAP};
use super::*;

/// Lines of a real recording.
static LINES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    decompressed("tiny-56.events.zst")
        .split_inclusive(|&b| b == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
});

/// Every line and event is accounted for.
pub(super) fn check(outcome: &Outcome) {
    let counts = outcome.counts;
    let sum = counts.sum();
    assert_eq!(sum.total + sum.filtered + counts.malformed_events(), counts.event_lines());
    assert_eq!(outcome.events.len() as u64, sum.total);
    assert_eq!(outcome.usable().len() as u64, sum.valid);
    assert!(counts.malformed() + counts.unrelated() <= counts.lines());
    assert!(outcome.events.iter().all(|&(ordinal, _)| ordinal < counts.event_lines()));
    assert!(outcome.events.is_sorted_by(|a, b| a.0 < b.0));
}

/// A literal of `bytes` with this quote, each byte in the way that its choice says.
fn literal(bytes: &[(u8, u8)], quote: char) -> String {
    let mut text = format!("b{quote}");
    for &(byte, choice) in bytes {
        let c = char::from(byte);
        let is_plain = matches!(byte, b' '..=b'~') && c != '\\' && c != quote;
        match (choice % 4, byte) {
            (0, b'\t') => text.push_str(r"\t"),
            (0, b'\n') => text.push_str(r"\n"),
            (0, b'\r') => text.push_str(r"\r"),
            (0, b'\\' | b'\'' | b'"') => text.extend(['\\', c]),
            (0 | 1, _) if is_plain => text.push(c),
            (2, _) => write!(text, "\\{byte:03o}").unwrap(),
            (3, _) => write!(text, "\\x{byte:02X}").unwrap(),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    text.push(quote);
    text
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in vec(any::<u8>(), 0..4096)) {
        check(&read(bytes));
    }

    #[test]
    fn text_behind_each_statement_does_no_harm(
        lines in vec((select(vec!["event = {", "event = ", "dp_port_map = {", "event_miss = {"]),
                      "[-{}\\[\\]():,'\"\\\\bx0-9a-f ]{0,60}"), 0..20),
    ) {
        let text: String =
            lines.iter().map(|(start, rest)| format!("{start}{rest}\n")).collect();
        check(&read(text));
    }

    #[test]
    fn magic_numbers_before_anything_do_no_harm(
        magic in select(vec![&b"\x1f\x8b\x08\0"[..], b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]),
        bytes in vec(any::<u8>(), 0..256),
    ) {
        check(&read([magic, &bytes].concat()));
    }

    #[test]
    fn mutations_of_real_lines_do_no_harm(
        picks in vec((any::<Index>(), vec((any::<Index>(), any::<u8>(), 0..4_u8), 0..6)), 1..12),
    ) {
        let mut bytes = LINES[0].clone();
        for (line, mutations) in picks {
            let mut line = line.get(LINES.as_slice()).clone();
            for (at, byte, mutation) in mutations {
                let at = at.index(line.len());
                match mutation {
                    0 => line[at] = byte,
                    1 => line.insert(at, byte),
                    2 if line.len() > 1 => { line.remove(at); }
                    _ => line.truncate(at.max(1)),
                }
            }
            bytes.extend(line);
        }
        let outcome = read(bytes.clone());
        check(&outcome);
        let strict = Options { strict: true, ..Options::default() };
        let failed = read_with(Cursor::new(bytes), strict).is_err();
        prop_assert_eq!(failed, outcome.counts.malformed() > 0);
    }

    #[test]
    fn what_is_written_is_read(pkt in vec(any::<u8>(), 1..300), key in vec(any::<u8>(), 8..64)) {
        let key = [writer::in_port(7), key].concat();
        let event = EventText {
            pkt_size: 9000,
            key_size: key.len().try_into().unwrap(),
            pkt: pkt.clone(),
            key: key.clone(),
            ..EventText::new(EventKind::RecvUpcall)
        };
        with_event(&format!("{PORT_MAP}{event}\n"), |body, _| {
            let EventBody::RecvUpcall { packet, key: read, .. } = body else {
                panic!("{body:?}");
            };
            assert_eq!(packet.bytes, pkt);
            assert_eq!(read.bytes, key);
        });
    }

    #[test]
    fn bytes_are_read_in_whatever_style(
        bytes in vec((any::<u8>(), any::<u8>()), 1..300),
        quote in select(vec!['\'', '"']),
    ) {
        let written = literal(&bytes, quote);
        let mut event = EventText::new(EventKind::OpFlowExecute);
        event.pkt = b"PACKET".to_vec();
        event.pkt_size = 9000;
        let text = event.line().replace("b'PACKET'", &written);
        let expected: Vec<u8> = bytes.iter().map(|&(byte, _)| byte).collect();
        with_event(&text, |body, _| {
            let EventBody::FlowExecute { packet } = body else { panic!("{body:?}") };
            assert_eq!(packet.bytes, expected, "{written}");
        });
    }
}
