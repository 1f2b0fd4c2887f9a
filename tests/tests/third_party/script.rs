//! Open vSwitch's upcall_cost.py, which reads the recordings that we write in its format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use upspan::event::EventKind;
use upspan_tests::{fixtures, upspan};

use crate::program::installed_in;

/// Usable events, events, and lost ones, of each kind.
type Counts = BTreeMap<&'static str, [u64; 3]>;

#[test]
fn the_script_counts_what_was_converted_as_we_do() {
    for recording in ["small-335", "mix-4319"] {
        let dir = tempfile::tempdir().unwrap();
        let compact = dir.path().join("compact");
        let script = dir.path().join("script");
        convert(&fixtures::path(&format!("{recording}.events.zst")), &compact, "compact");
        convert(&compact, &script, "script");
        assert_eq!(theirs(&script), ours(&compact), "{recording}");
    }
}

fn convert(from: &Path, to: &Path, format: &str) {
    let mut command = upspan();
    command.arg("convert").arg(from).arg(to).args(["--record-format", format]);
    let run = command.output().unwrap();
    assert!(run.status.success(), "{run:?}");
}

/// What upspan counts.
fn ours(recording: &Path) -> Counts {
    let run = upspan().args(["report", "--format", "json"]).arg(recording).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let counts = EventKind::ALL.map(|kind| {
        let counts = &report["counts"][kind.name()];
        (kind.name(), ["valid", "total", "miss"].map(|count| counts[count].as_u64().unwrap()))
    });
    counts.into_iter().filter(|(_, [_, total, _])| *total > 0).collect()
}

/// What the script prints, such as `  dpif_recv__recv_upcall   :   67/   67 [   0]`.
fn theirs(recording: &Path) -> Counts {
    let venv = "bench-venv";
    let python: PathBuf = installed_in(venv, "bin/python");
    let mut command = Command::new(python);
    command.arg(installed_in(venv, "upcall_cost.py")).args(["--quiet", "--read-events"]);
    let run = command.arg(recording).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let text = String::from_utf8(run.stdout).unwrap();
    let (_, counts) = text.split_once("=> Events received per type").unwrap();
    let lines = counts.lines().skip(1).map_while(|line| line.split_once(':'));
    lines
        .map(|(label, counts)| {
            let kind = EventKind::ALL.into_iter().find(|kind| kind.label() == label.trim());
            let mut numbers = counts
                .split(|c: char| !c.is_ascii_digit())
                .filter(|number| !number.is_empty())
                .map(|number| number.parse().unwrap());
            let counts = std::array::from_fn(|_| numbers.next().unwrap());
            (kind.unwrap_or_else(|| panic!("{label}: an event of this name")).name(), counts)
        })
        .collect()
}
