//! When spans happened, how often, and how fast.

use std::time::{SystemTime, UNIX_EPOCH};

use upspan::event::MonotonicNs;
use upspan::source::recording::{ClockAnchor, Format, Header, Options, Recording, RecordingWriter};

use super::*;

/// Nanoseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

fn first(spans: &[Span]) -> u64 {
    spans.iter().map(|span| span.start_time_unix_nano).min().unwrap()
}

fn last(spans: &[Span]) -> u64 {
    spans.iter().map(|span| span.end_time_unix_nano).max().unwrap()
}

/// The first and the last event of the smallest recording.
const FIRST: u64 = 230_287_136_054;
const LAST: u64 = 238_065_374_635;

#[test]
fn original_times_are_kept_to_the_nanosecond() {
    let (spans, _) = replayed("tiny-56", &["--timestamps", "original"]);
    assert_eq!((first(&spans), last(&spans)), (FIRST, LAST));
}

#[test]
fn a_recording_ends_now() {
    let before = now();
    let (spans, _) = replayed("tiny-56", &[]);
    assert!((before..=now()).contains(&last(&spans)));
    assert_eq!(last(&spans) - first(&spans), LAST - FIRST);
}

#[test]
fn a_recording_from_a_pipe_begins_now() {
    let recording = text("tiny-56.events.zst");
    let before = now();
    let run = run_with_input(replay("-").args(["--output", "-"]), recording.as_bytes()).exits(0);
    let spans: Vec<_> = run.stdout.lines().flat_map(spans_of_line).collect();
    assert!((before..=now()).contains(&first(&spans)));
    assert_eq!(last(&spans) - first(&spans), LAST - FIRST);
}

#[test]
fn a_pace() {
    let before = now();
    let (spans, _) = replayed("tiny-56", &["--speed", "1000"]);
    // 7.8 s of recording in as many ms; it began now.
    assert!(first(&spans) >= before);
    assert!(now() - before >= 7_000_000);
    assert_eq!(last(&spans) - first(&spans), LAST - FIRST);
}

#[test]
fn again_and_again() {
    let (spans, totals) = replayed("tiny-56", &["--loop=3", "--seed", "1"]);
    assert_eq!((spans.len(), &totals["upcalls"]), (216, &36.into()));
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(ids.len(), 36);
}

#[test]
fn a_pipe_cannot_be_read_again() {
    let run = run_with_input(replay("-").arg("--loop=2"), b"");
    run.exits(1).says("standard input cannot be read twice: --loop needs a file");
}

#[test]
fn original_times_are_those_of_the_recorder_s_clocks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recording");
    // As if the host had booted then.
    const BOOT: u64 = 1_700_000_000_000_000_000;
    let anchor = ClockAnchor { monotonic: MonotonicNs(0), realtime_unix_ns: BOOT };
    let header = Header { anchor: Some(anchor), ..Header::default() };
    let mut writer =
        RecordingWriter::new(Format::Compact, std::fs::File::create(&path).unwrap(), &header)
            .unwrap();
    let input = recording("tiny-56");
    let mut script = Recording::open(&input.as_path().into(), Options::default()).unwrap();
    while let Some(item) = script.next_item().unwrap() {
        writer.item(item).unwrap();
    }
    writer.finish().unwrap();

    let original = |file: &Path| {
        let mut command = replay(file);
        command.args(["--timestamps", "original", "--output", "/dev/stdout"]);
        let run = Run::of(&mut command).exits(0);
        let (lines, _) = run.stdout.trim_end().rsplit_once('\n').unwrap();
        let spans = lines.lines().flat_map(spans_of_line);
        spans.map(|span| span.start_time_unix_nano).collect::<Vec<_>>()
    };
    let since_boot = original(&input);
    let expected: Vec<_> = since_boot.iter().map(|since| since + BOOT).collect();
    assert_eq!(original(&path), expected);
}
