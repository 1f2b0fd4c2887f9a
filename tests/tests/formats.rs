//! Recordings of a real Open vSwitch keep everything in either format.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::Cursor;

use upspan::correlate::Config;
use upspan::pipeline;
use upspan::report::{Report, ReportOptions};
use upspan::source::recording::{Format, Header, Options, Recording, RecordingWriter};
use upspan_tests::fixtures;

fn open(bytes: &[u8]) -> Recording {
    let options = Options { strict: true, ..Options::default() };
    Recording::from_reader(Cursor::new(bytes.to_vec()), options).unwrap()
}

fn convert(bytes: &[u8], to: Format) -> Vec<u8> {
    let mut recording = open(bytes);
    let mut writer = RecordingWriter::new(to, Vec::new(), &Header::default()).unwrap();
    while let Some(item) = recording.next_item().unwrap() {
        writer.item(item).unwrap();
    }
    writer.finish().unwrap()
}

fn report(bytes: &[u8]) -> String {
    let mut recording = open(bytes);
    let mut report = Report::new(ReportOptions { keep_sets: true, slowest: 5 });
    let counts = pipeline::run(&mut recording, Config::default(), &mut report, |_| true).unwrap();
    serde_json::to_string(&report.finish(counts, recording.ports())).unwrap()
}

#[test]
fn script_to_compact_to_script_changes_no_byte() {
    for name in fixtures::RECORDINGS {
        let script = fixtures::read(&format!("{name}.events"));
        let back = convert(&convert(&script, Format::Compact), Format::Script);
        assert!(back == script, "{name}");
    }
}

#[test]
fn the_compact_format_is_a_fraction_of_the_script_s() {
    let script = fixtures::read("medium-10686.events");
    let script_zst = zstd::encode_all(&script[..], 3).unwrap();
    let compact = convert(&script, Format::Compact);
    let plain = zstd::decode_all(&compact[..]).unwrap();
    assert!(plain.len() * 8 < script.len(), "{} of {}", plain.len(), script.len());
    assert!(compact.len() < script_zst.len(), "{} of {}", compact.len(), script_zst.len());
}

#[test]
fn both_formats_give_the_same_report() {
    for name in ["small-335", "mix-4319"] {
        let script = fixtures::read(&format!("{name}.events"));
        assert_eq!(report(&convert(&script, Format::Compact)), report(&script), "{name}");
    }
}
