//! Recordings that are not what they should be.

use std::io;

use super::writer::{EventText, PORT_MAP};
use super::*;

#[test]
fn malformed_lines_are_reported_and_the_rest_is_used() {
    let good = EventText::new(EventKind::OpFlowPut).line();
    for (bad, reason) in [
        ("event = {'event': 2", "column 20: ',' or '}' expected"),
        ("event = ", "column 9: '{' expected"),
        ("event = [1]", "column 9: '{' expected"),
        ("event = {'event' 2}", "column 18: ':' expected"),
        ("event = {'event': 2}", "the field 'cpu' is missing"),
        ("event = {'event': 9}", "there is no event 9"),
        ("event = {'event': -1}", "there is no event -1"),
        ("event = {'ts': -1}", "the ts is out of range"),
        ("event = {'cpu': 4294967296}", "the cpu is out of range"),
        ("event = {'pkt': b'\\xg0'}", "column 19: the escape sequence lacks hexadecimal digits"),
        ("event = {'pkt': 'text'}", "column 17: a bytes literal expected"),
        ("event = {'a': }", "column 15: a value expected"),
        ("event = {} x", "column 12: the end of the line expected"),
    ] {
        let outcome = read(format!("{PORT_MAP}{good}{bad}\n{good}"));
        assert_eq!(outcome.faults(), [(3, reason.to_owned())], "{bad}");
        assert_eq!(outcome.usable(), [0, 2], "{bad}");
        assert_eq!(outcome.counts.malformed_events(), 1, "{bad}");

        let strict = Options { strict: true, ..Options::default() };
        let text = format!("{PORT_MAP}{good}{bad}\n{good}").into_bytes();
        let error = read_with(Cursor::new(text), strict).unwrap_err();
        assert_eq!(error.to_string(), format!("the recording:3: {reason}"));
    }
}

#[test]
fn a_field_that_its_kind_needs_must_be_there() {
    for (kind, names) in [
        (
            EventKind::RecvUpcall,
            &["upcall_type", "pkt_size", "key_size", "dpif_name", "pkt", "key"][..],
        ),
        (EventKind::DpUpcall, &["pkt_frag_size", "pkt_size", "dpif_name", "dev_name", "pkt"]),
        (EventKind::OpFlowExecute, &["pkt_size", "pkt"]),
        (EventKind::OvsPktExec, &["event", "cpu", "pid", "ts", "comm"]),
    ] {
        let line = EventText::new(kind).line();
        for name in names {
            let outcome = read(format!("{PORT_MAP}{}", line.replace(&format!("'{name}'"), "'x'")));
            let reason = format!("the field '{name}' is missing");
            assert_eq!(outcome.faults(), [(2, reason)], "{kind}");
        }
    }
}

#[test]
fn unrelated_lines_are_counted() {
    let put = EventText::new(EventKind::OpFlowPut).line();
    let outcome = read(format!("# a comment\n\n{put}\r\nevents = {{}}\n event = {{}}\n{put}\n"));
    assert_eq!(outcome.usable(), [0, 1]);
    assert_eq!(outcome.counts.unrelated(), 6);
    assert_eq!(outcome.counts.malformed(), 0);
    assert!(!outcome.has_port_map);
}

#[test]
fn only_the_first_malformed_lines_are_kept() {
    let outcome = read("event = x\n".repeat(1000));
    assert_eq!(outcome.counts.malformed(), 1000);
    assert_eq!(outcome.counts.event_lines(), 1000);
    assert_eq!(outcome.malformed.len(), Recording::MAX_KEPT_MALFORMED);
}

#[test]
fn cut_anywhere_all_lines_before_are_used() {
    let put = EventText::new(EventKind::OpFlowPut).line();
    let text = format!("{PORT_MAP}{put}{put}event_miss = {{2: 1}}\n");
    for len in 0..=text.len() {
        let outcome = read(text[..len].to_owned());
        let last = text[..len].lines().last().unwrap_or_default();
        // A line is whole without its newline, too.
        let is_cut = !last.is_empty() && !text.lines().any(|line| line == last);
        let whole = text[..len].lines().count() - usize::from(is_cut);
        assert_eq!(outcome.usable().len(), whole.saturating_sub(1).min(2), "{len}");
        assert_eq!(outcome.lost.len(), usize::from(whole == 4), "{len}");
        assert_eq!(outcome.counts.malformed(), u64::from(is_cut), "{len}");
        assert!(outcome.malformed.iter().all(|bad| bad.fault == LineFault::Cut), "{len}");
        assert_eq!(outcome.counts.unrelated(), 0, "{len}");
    }
}

#[test]
fn lines_without_end_are_skipped_in_bounded_memory() {
    let put = EventText::new(EventKind::OpFlowPut).line().into_bytes();
    let huge = |byte| io::repeat(byte).take(8 * MAX_LINE as u64);
    let reader = Cursor::new(put.clone())
        .chain(huge(b'a'))
        .chain(&b"\nevent = "[..])
        .chain(huge(0))
        .chain(&b"\n"[..])
        .chain(Cursor::new(put))
        .chain(huge(b' '));
    let outcome = read_with(reader, Options::default()).unwrap();
    assert_eq!(outcome.usable(), [0, 2]);
    let faults: Vec<_> =
        outcome.malformed.iter().map(|bad| (bad.place.number, bad.fault)).collect();
    assert_eq!(
        faults,
        [(2, LineFault::TooLong), (3, LineFault::TooLong), (5, LineFault::TooLong),]
    );
    assert_eq!(outcome.counts.malformed_events(), 1);
}

#[test]
fn the_longest_line_is_read() {
    let put = EventText::new(EventKind::OpFlowPut).to_string();
    for (len, is_read) in [(MAX_LINE, true), (MAX_LINE + 1, false)] {
        let line = format!("{put}{}\n{put}\n", " ".repeat(len - put.len()));
        let outcome = read(line);
        assert_eq!(outcome.usable(), if is_read { vec![0, 1] } else { vec![1] });
    }
}

#[test]
fn what_the_system_refuses_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    let put = EventText::new(EventKind::OpFlowPut).line().into_bytes();
    let mut recording =
        Recording::from_reader(Cursor::new(put).chain(Broken), Options::default()).unwrap();
    assert!(matches!(recording.next(), Ok(Some(Record::Event(_)))));
    let error = recording.next().unwrap_err();
    assert!(matches!(error, RecordingError::Read { .. }), "{error}");
    assert_eq!(recording.next().unwrap(), None);
    assert!(Recording::from_reader(Broken, Options::default()).is_err());
}
