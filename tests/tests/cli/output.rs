//! OTLP JSON lines in a file or on standard output.

use upspan_tests::backend::Reply;

use super::*;

#[test]
fn a_file_instead_of_an_endpoint() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = replay(recording("tiny-56"));
    // The variable is for those that send.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let totals = Run::of(command.arg("--output").arg(file.path())).exits(0).says_nothing().json();
    let written = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(written.lines().flat_map(spans_of_line).count(), 72);
    assert_eq!((&totals["output"]["delivered"], totals.get("endpoint")), (&72.into(), None));
}

#[test]
fn a_file_beside_an_endpoint() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = replay_to(&backend, recording("tiny-56"));
    let totals = Run::of(command.arg("--output").arg(file.path())).exits(0).json();
    let written = std::fs::read_to_string(file.path()).unwrap();
    let written: Vec<Span> = written.lines().flat_map(spans_of_line).collect();
    assert_eq!(written, all_spans(&backend.rest()));
    assert_eq!(totals["output"]["delivered"], totals["endpoint"]["delivered"]);
}

#[test]
fn standard_output_has_nothing_but_lines() {
    let run = Run::of(replay(recording("medium-10686")).args(["--output", "-"])).exits(0);
    assert!(run.stdout.lines().count() > 1);
    assert_eq!(run.stdout.lines().flat_map(spans_of_line).count(), 12_888);
    assert_eq!(json(&run.stderr)["output"]["delivered"], 12_888);

    let run = Run::of(replay_for_people(recording("tiny-56")).args(["--output", "-"])).exits(0);
    assert_eq!(run.stdout.lines().flat_map(spans_of_line).count(), 72);
    insta::assert_snapshot!(run.stderr, @r"
    12 upcalls became 12 traces of 72 spans
    output: 72 spans: 72 delivered, 0 rejected, 0 failed
    ");
}

#[test]
fn a_full_disk() {
    let args = ["--output", "/dev/full"];
    let run = Run::of(replay(recording("tiny-56")).args(args)).exits(1);
    insta::assert_snapshot!(run.stderr, @"upspan: cannot write to /dev/full: No space left on device (os error 28); free space or choose another place for --output");
    assert_eq!(run.json()["output"]["failed"], json(r#"{"output": 72}"#));
    // Without anyone who takes spans, it does not go on.
    let run = Run::of(replay(recording("medium-10686")).args(args).arg("--loop")).exits(1);
    assert_eq!(run.json()["output"]["failed"]["output"], run.json()["spans"]);
}

#[test]
fn a_full_disk_does_not_stop_the_export() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let mut command = replay_to(&backend, recording("medium-10686"));
    let run = Run::of(command.args(["--output", "/dev/full"])).exits(1).says("/dev/full");
    assert_eq!(all_spans(&backend.rest()).len(), 12_888);
    let totals = run.json();
    assert_eq!(totals["output"]["failed"]["output"], 12_888);
    assert_eq!(totals["endpoint"]["delivered"], 12_888);
}

#[test]
fn places_that_cannot_be_written() {
    let tiny = recording("tiny-56");
    for (output, error) in [
        ("/nonexistent/file", "upspan: cannot create /nonexistent/file: No such file"),
        ("/", "upspan: cannot create /: Is a directory"),
    ] {
        let run = Run::of(replay(&tiny).args(["--output", output])).exits(1).says(error);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn the_recording_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recording");
    std::fs::copy(recording("tiny-56"), &file).unwrap();
    let length = file.metadata().unwrap().len();
    Run::of(replay(&file).arg("--output").arg(&file)).exits(1).says("is the recording itself");
    assert_eq!(file.metadata().unwrap().len(), length);
}
