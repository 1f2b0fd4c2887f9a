//! `upspan report` of recordings of a real Open vSwitch.

use std::io::{BufRead, BufReader};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const RECORDINGS: [&str; 5] = ["tiny-56", "small-335", "medium-10686", "mix-4319", "pvp-10k"];

/// Those of which the reference finds all upcalls.
const IN_FULL: [&str; 3] = ["tiny-56", "medium-10686", "pvp-10k"];

fn quiet(file: impl AsRef<Path>) -> Run {
    Run::of(report(file).arg("-q")).exits(0).says_nothing()
}

/// The sections that the reference has, too.
fn common(text: &str) -> &str {
    let start = text.find("=> Events received").expect("has counts");
    let end = text.find("\n=> Durations").unwrap_or(text.len());
    text[start..end].trim_end()
}

#[test]
fn text_is_that_of_the_reference() {
    for name in ["tiny-56", "medium-10686"] {
        let ours = quiet(recording(name)).stdout;
        // The warning is one of the script's own limit.
        let theirs = text(&format!("{name}.report.txt.zst")).replace(
            "WARNING: SKB from kernel had fragments, we could only copy/compare the first part!\n",
            "",
        );
        let (ours, theirs) = (common(&ours), common(&theirs));
        assert!(theirs.lines().count() > 120);
        for (ours, theirs) in ours.lines().zip(theirs.lines()) {
            assert_eq!(ours, theirs, "{name}");
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn json_has_the_figures_of_the_reference() {
    for name in IN_FULL {
        let run = Run::of(report(recording(name)).args(["--format", "json"])).exits(0);
        let ours = run.says_nothing().json();
        let theirs = json(&text(&format!("{name}.golden.json.zst")));
        for key in ["events", "counts", "batch_sizes", "upcalls_per_thread", "latency_us"] {
            assert!(ours[key] == theirs[key], "{name}: {key}: {} {}", ours[key], theirs[key]);
        }
        assert_eq!(ours.get("sets"), None, "{name}");
    }
}

#[test]
fn sets_are_what_really_happened() {
    for name in RECORDINGS {
        let args = ["--format", "json", "--sets"];
        let ours = Run::of(report(recording(name)).args(args)).exits(0).says_nothing().json();
        let theirs = json(&text(&format!("{name}.truth.json.zst")));
        let ours = ours["sets"].as_array().unwrap();
        for set in ours {
            assert!(set["match"].is_string() && set["phases_ns"].is_object(), "{name}: {set}");
        }
        let mut ours: Vec<String> = ours.iter().map(|set| set["events"].to_string()).collect();
        let sets = theirs["sets"].as_array().unwrap();
        // By keys in the order of serde_json's maps, and without the mark of GSO segments.
        let mut theirs: Vec<String> = sets
            .iter()
            .map(|set| {
                let mut set = set.as_object().unwrap().clone();
                set.remove("gso");
                Json::Object(set).to_string()
            })
            .collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert!(!ours.is_empty());
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn every_event_is_printed_unless_quiet() {
    let verbose = Run::of(&mut report(recording("tiny-56"))).exits(0).says_nothing().stdout;
    let table = verbose.strip_suffix(&quiet(recording("tiny-56")).stdout).unwrap();
    let (header, events) = table.split_once('\n').unwrap();
    assert_eq!(
        header,
        "EVENT                    COMM                  PID  CPU  TIME                \
         EVENT DATA[dpif_name/dp_port/pkt_len/pkt_frag_len]"
    );
    assert_eq!(events.lines().count(), 56);
}

#[test]
fn whole_text() {
    insta::assert_snapshot!(quiet(recording("small-335")).stdout);
}

#[test]
fn every_way_in() {
    let expected = quiet(recording("tiny-56")).stdout;
    let plain = text("tiny-56.events.zst");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(plain.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = std::fs::read(recording("tiny-56")).unwrap();

    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [("a", plain.as_bytes()), ("a.gz", &gzip), ("no-suffix", &zstd)] {
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(quiet(file).stdout, expected, "{name}");
        let piped = run_with_input(report("-").arg("-q"), bytes).exits(0).says_nothing();
        assert_eq!(piped.stdout, expected, "{name} from a pipe");
    }
    let named = Run::of(upspan().args(["report", "-q", "-r"]).arg(recording("tiny-56")));
    assert_eq!(named.exits(0).stdout, expected);
}

#[test]
fn stops_after_so_many_events() {
    let args = ["-s", "11", "--format", "json"];
    let ours = Run::of(report(recording("tiny-56")).args(args)).exits(0).json();
    assert_eq!((&ours["events"], &ours["upcalls"]), (&json("11"), &json("2")));
}

#[test]
fn leaves_other_handlers_out() {
    let args = ["--handler-filter", "handler1", "--format", "json"];
    let ours = Run::of(report(recording("tiny-56")).args(args)).exits(0).json();
    assert_eq!(ours["upcalls_per_thread"], json(r#"{"handler1": 5}"#));
    assert_eq!(ours["counts"]["dp_upcall"]["valid"], 12);
    assert_eq!(ours["accounting"]["filtered"], 27);
}

#[test]
fn has_as_many_buckets_as_wanted() {
    let text = Run::of(report(recording("tiny-56")).args(["-q", "-b", "5"])).exits(0).stdout;
    let (_, histograms) = text.split_once("=> Kernel upcall action").unwrap();
    let (histogram, _) = histograms.split_once("\n\n").unwrap();
    assert_eq!(histogram.lines().filter(|line| line.contains("]: ")).count(), 5);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let medium = recording("medium-10686");
    let mut to_stdout = replay(&medium);
    to_stdout.args(["--output", "-"]);
    // Of a report nothing is lost; spans are.
    for (mut command, code) in [(report(&medium), 0), (to_stdout, 3)] {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with("EVENT") || line.starts_with('{'));
        drop(stdout);
        let run = Run::from(child.wait_with_output().unwrap()).exits(code);
        assert!(!run.stderr.contains("upspan:"), "{run:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    for args in [&["-q"][..], &[], &["--format", "json"]] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let run = Run::of(report(recording("tiny-56")).args(args).stdout(full));
        run.exits(1).says("upspan: cannot write to standard output: No space left on device");
    }
}
