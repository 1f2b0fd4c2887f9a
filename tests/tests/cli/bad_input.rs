//! Recordings that are cut, damaged, or none.

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

/// A directory for bad recordings. Paths in messages are relative to it.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
        self
    }

    fn report(&self, args: &[&str]) -> Run {
        Run::of(upspan().arg("report").args(["--format", "json"]).args(args).current_dir(&self.0))
    }

    fn replay(&self, args: &[&str]) -> Run {
        Run::of(
            upspan().arg("replay").args(["--output", "/dev/null"]).args(args).current_dir(&self.0),
        )
    }
}

fn tiny() -> String {
    text("tiny-56.events.zst")
}

/// The lines of the smallest recording, with this one before the 20th.
fn tiny_with(line: &[u8]) -> Vec<u8> {
    let text = tiny();
    let mut lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
    lines.insert(19, line);
    lines.join(&b'\n')
}

/// Bytes that look random, and are the same each time.
fn garbage() -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(100_000).collect()
}

#[test]
fn what_is_no_recording() {
    let scratch = Scratch::new().with("empty", "").with("garbage", garbage());
    for (file, message) in [
        ("missing", "upspan: cannot open missing: No such file or directory"),
        (".", "upspan: . is a directory: name a file in it"),
        ("empty", "upspan: empty is no recording: give a file that upcall_cost.py has written"),
        ("garbage", "upspan: garbage is no recording: give a file that upcall_cost.py"),
    ] {
        let run = scratch.report(&[file]).exits(1).says(message);
        assert_eq!(run.stdout, "");
        scratch.replay(&[file]).exits(1).says(message);
        scratch.replay(&[file, "--loop"]).exits(1).says(message);
    }
    run_with_input(report("-").arg("-q"), &[]).exits(1).says("standard input is no recording");
}

#[test]
fn without_an_event() {
    let scratch = Scratch::new().with("idle", "dp_port_map = {'ovs-system': {'p1': 2}}\n");
    let run = scratch.report(&["idle"]).exits(0).says("upspan: idle: no event in it");
    assert_eq!(run.json()["upcalls"], 0);
}

#[test]
fn without_a_port_map() {
    let text = tiny();
    let (_, events) = text.split_once('\n').unwrap();
    let scratch = Scratch::new().with("mapless", events);
    let run = scratch.report(&["mapless"]).exits(0).says("no dp_port_map in it");
    let counts = &run.json()["counts"];
    assert_eq!(counts["dp_upcall"], json(r#"{"valid": 0, "total": 12, "miss": 0}"#));
    assert_eq!(counts["recv_upcall"]["valid"], 12);
}

#[test]
fn a_malformed_line() {
    let scratch = Scratch::new().with("bad", tiny_with(b"event = {nonsense"));
    let run = scratch.report(&["bad"]).exits(0);
    insta::assert_snapshot!(run.stderr, @r"
    upspan: bad: line 20: column 10: a string expected
    upspan: bad: 1 line could not be read (--strict stops at the first)
    ");
    let report = run.json();
    assert_eq!((&report["upcalls"], &report["malformed_lines"]), (&json("12"), &json("1")));

    let strict = scratch.report(&["bad", "--strict"]).exits(1);
    insta::assert_snapshot!(strict.stderr, @"upspan: bad:20: column 10: a string expected");
    assert_eq!(strict.stdout, "");
    scratch.replay(&["bad", "--strict"]).exits(1).says("upspan: bad:20: column 10");
}

#[test]
fn malformed_lines_are_told_once_however_often_they_are_read() {
    let scratch = Scratch::new().with("bad", tiny_with(b"event = {nonsense"));
    let run = scratch.replay(&["bad", "--loop=3", "--format", "json"]).exits(0);
    assert_eq!(run.stderr.matches("line 20").count(), 1, "{run:?}");
    assert_eq!((&run.json()["malformed_lines"], &run.json()["upcalls"]), (&json("3"), &json("36")));
}

#[test]
fn many_malformed_lines() {
    let scratch = Scratch::new().with("bad", tiny() + &"event = {nonsense\n".repeat(1000));
    let run = scratch.report(&["bad"]).exits(0);
    assert_eq!(run.stderr.lines().count(), 12, "{run:?}");
    let run = run.says("… and 990 more").says("1000 lines could not be read");
    assert_eq!(run.json()["upcalls"], 12);
}

#[test]
fn garbage_in_between() {
    let scratch = Scratch::new().with("bad", tiny_with(&garbage()));
    let run = scratch.report(&["bad"]).exits(0);
    let run = run.says("lines that upcall_cost.py does not write were left out");
    assert_eq!(run.json()["upcalls"], 12);
}

#[test]
fn a_huge_line() {
    let scratch = Scratch::new().with("huge", tiny_with(&[b'a'; 10 << 20]));
    let run = scratch.report(&["huge"]).exits(0);
    let run = run.says("upspan: huge: line 20: the line is longer than 1048576 bytes");
    assert_eq!(run.json()["upcalls"], 12);
}

#[test]
fn a_cut_recording() {
    let scratch = Scratch::new().with("cut", &tiny()[..30_000]);
    let run = scratch.report(&["cut"]).exits(0);
    let run = run.says("the line is cut: the recording ends in the middle of it");
    let upcalls = run.json()["upcalls"].as_u64().unwrap();
    assert!((1..12).contains(&upcalls), "{upcalls}");
    scratch.report(&["cut", "--strict"]).exits(1).says("the line is cut");
}

#[test]
fn cut_compressed_data() {
    let zstd = std::fs::read(recording("medium-10686")).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text("small-335.events.zst").as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let scratch = Scratch::new()
        .with("cut.zst", &zstd[..zstd.len() / 2])
        .with("cut.gz", &gzip[..gzip.len() / 2])
        .with("stub.gz", &gzip[..5]);
    for file in ["cut.zst", "cut.gz"] {
        let run = scratch.report(&[file]).exits(0);
        let run = run.says("the compressed data are cut or damaged after line");
        let upcalls = run.json()["upcalls"].as_u64().unwrap();
        assert!((10..2000).contains(&upcalls), "{file}: {upcalls}");
        scratch.report(&[file, "--strict"]).exits(1);
    }
    scratch.report(&["stub.gz"]).exits(1).says("stub.gz is no recording");
}

#[test]
fn events_lost_while_recording() {
    let scratch = Scratch::new().with("lossy", tiny() + "event_miss = {1: 5, 0: 7}\n");
    let run = scratch.report(&["lossy"]).exits(0).says("12 events were lost while recording");
    let counts = &run.json()["counts"];
    assert_eq!(counts["dp_upcall"]["miss"], 5);
    assert_eq!(counts["recv_upcall"]["miss"], 7);
}
