//! The commands that capture, as far as they get without Open vSwitch; and the agent's settings.

use std::fs;

use super::*;

/// Runs it in an empty directory with this file `upspan.yaml`.
fn run_with(file: &str, args: &[&str], variables: &[(&str, &str)]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("upspan.yaml"), file).unwrap();
    let mut command = upspan();
    command.arg("run").args(args).envs(variables.iter().copied()).current_dir(dir.path());
    Run::of(&mut command)
}

#[test]
fn valid_settings() {
    let file = "endpoint: http://localhost:4317\nport: [p1, p2]\npacket-size: 512\n";
    let run = run_with(file, &["--check", "--config", "upspan.yaml"], &[]).exits(0).says_nothing();
    assert_eq!(run.stdout, "the settings are valid\n");
    run_with(file, &["--check"], &[("UPSPAN_CONFIG", "upspan.yaml")]).exits(0).says_nothing();
    run_with("", &["--check"], &[("UPSPAN_DRAIN_TIMEOUT", "9s")]).exits(0).says_nothing();
}

#[test]
fn settings_that_cannot_be_used() {
    for (file, variables, message) in [
        ("\npacket-size: 1\n", &[][..], "upspan.yaml:2: packet-size: '1' cannot be used: 1 is not"),
        ("portt: p1\n", &[], "upspan.yaml:1: there is no setting portt"),
        ("endpoint: foo://h\n", &[], "upspan.yaml:1: endpoint: the scheme \"foo\" is not"),
        ("a: [1", &[], "upspan.yaml:2: this is no YAML"),
        ("", &[("UPSPAN_LOG_LEVEL", "loud")], "UPSPAN_LOG_LEVEL: 'loud' is not possible; give"),
        ("", &[("OTEL_BSP_SCHEDULE_DELAY", "soon")], "OTEL_BSP_SCHEDULE_DELAY"),
        ("receive: 0.0.0.0:1\n", &[], "upspan.yaml:1: receive: other hosts can reach 0.0.0.0:1"),
        ("api: 0.0.0.0:1\n", &[], "upspan.yaml:1: api: other hosts can reach 0.0.0.0:1"),
        ("", &[("UPSPAN_API_TOKEN_FILE", "x")], "UPSPAN_API_TOKEN_FILE: cannot read x"),
        ("output: x\nreceive: unix:x\n", &[], "upspan.yaml:2: receive: it needs --endpoint, to"),
        ("", &[("UPSPAN_APP_SPANS", "true")], "UPSPAN_APP_SPANS: it needs --receive"),
    ] {
        let run = run_with(file, &["--check", "--config", "upspan.yaml"], variables).exits(1);
        assert_eq!(run.says(message).stdout, "");
    }
    run_with("", &["--config", "none.yaml"], &[]).exits(1).says("the configuration none.yaml: No");
}

#[test]
fn a_variable_wins_over_the_file_and_a_flag_over_both() {
    let wrong = "endpoint: foo://file\n";
    let check = ["--check", "--config", "upspan.yaml"];
    let variable = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://variable:1")];
    run_with(wrong, &check, &variable).exits(0);
    let flag = ["--check", "--config", "upspan.yaml", "--endpoint", "http://flag:1"];
    run_with(wrong, &flag, &[]).exits(0);
    run_with(wrong, &flag, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "foo://variable")]).exits(0);
}

/// Without vswitchd, whatever else is missing: another process cannot be captured.
#[test]
fn without_open_vswitch_the_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recording");
    let own = std::process::id().to_string();
    let name = file.to_str().unwrap();
    for args in [&["record", "-q", "-w", name][..], &["report", "-q"], &["run"]] {
        let run = Run::of(upspan().args(args).args(["--pid", &own])).exits(1);
        assert_eq!(run.stdout, "");
        let says_what_to_do = ["run as root", "modprobe", "mount -t", "is not ovs-vswitchd"];
        assert!(says_what_to_do.iter().any(|what| run.stderr.contains(what)), "{run:?}");
    }
    assert!(!file.exists(), "nothing was recorded");
}

#[test]
fn what_captures_takes_no_recording() {
    for args in [
        &["report", "-p", "1", "file"][..],
        &["report", "--capture-upcalls", "miss", "-r", "file"],
        &["report", "-w", "out", "file"],
        &["record"],
        &["record", "-w", "out", "--capture-port", "longer-than-15-bytes"],
    ] {
        Run::of(upspan().args(args)).exits(2);
    }
    Run::of(upspan().args(["report", "-w", "-"])).exits(1).says("name a file for --write-events");
}
