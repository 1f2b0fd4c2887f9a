//! Open vSwitch's upcall_cost.py, which reads the recordings that we write in its format.

use std::path::Path;

use upspan_tests::{fixtures, script, upspan};

use crate::program::installed_in;

#[test]
fn the_script_counts_what_was_converted_as_we_do() {
    for recording in ["small-335", "mix-4319"] {
        let dir = tempfile::tempdir().unwrap();
        let compact = dir.path().join("compact");
        let written = dir.path().join("script");
        convert(&fixtures::path(&format!("{recording}.events.zst")), &compact, "compact");
        convert(&compact, &written, "script");
        let theirs = script::theirs(&installed_in("bench-venv", ""), &written).unwrap();
        assert_eq!(theirs, script::ours(upspan(), &compact).unwrap(), "{recording}");
    }
}

fn convert(from: &Path, to: &Path, format: &str) {
    let mut command = upspan();
    command.arg("convert").arg(from).arg(to).args(["--record-format", format]);
    let run = command.output().unwrap();
    assert!(run.status.success(), "{run:?}");
}
