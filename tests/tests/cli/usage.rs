//! Help, and command lines that are wrong.

use super::*;

fn upspan_with(args: &[&str]) -> Run {
    Run::of(upspan().args(args))
}

#[test]
fn help() {
    for (name, args) in [
        ("help", &["--help"][..]),
        #[cfg(target_os = "linux")]
        ("help_run", &["run", "--help"]),
        #[cfg(target_os = "linux")]
        ("help_record", &["record", "--help"]),
        ("help_convert", &["convert", "--help"]),
        ("help_replay", &["replay", "--help"]),
        ("help_report", &["report", "--help"]),
        ("help_observe", &["observe", "--help"]),
        ("help_demo", &["demo", "--help"]),
    ] {
        insta::assert_snapshot!(name, upspan_with(args).exits(0).says_nothing().stdout);
    }
}

#[test]
fn version() {
    let run = upspan_with(&["--version"]).exits(0);
    assert_eq!(run.stdout, format!("upspan {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_command_lines() {
    let wrong: &[&[&str]] = &[
        &[],
        &["replay"],
        &["convert", "in"],
        &["report", "-r", "a", "b"],
        &["report", "-b", "0", "a"],
        &["report", "-s", "many", "a"],
        &["report", "--format", "xml", "a"],
        &["replay", "--speed", "0", "a"],
        &["replay", "--speed", "fast", "a"],
        &["replay", "--loop=0", "a"],
        &["replay", "--sample", "2", "a"],
        &["replay", "--sample", "half", "a"],
        &["replay", "--min-duration", "10", "a"],
        &["replay", "--timestamps", "now", "a"],
        &["observe", "--tui", "--follow"],
        &["doctor"],
    ];
    let said: Vec<_> = wrong
        .iter()
        .map(|args| {
            let run = upspan_with(args).exits(2);
            assert_eq!(run.stdout, "");
            let first = run.stderr.split("\n\n").next().unwrap().to_owned();
            format!("$ upspan {}\n{first}\n", args.join(" "))
        })
        .collect();
    insta::assert_snapshot!("wrong_command_lines", said.join("\n"));
}

#[test]
fn wrong_arguments_for_the_export() {
    let file = recording("tiny-56");
    for (args, expected) in [
        (&["--endpoint", "foo://host"][..], "--endpoint: the scheme \"foo\" is not supported"),
        (&["--header", "novalue"], "--header"),
        (
            &["--endpoint", "https://localhost:1", "--ca-certificate", "/nonexistent"],
            "cannot read /nonexistent",
        ),
        (&["--batch-spans", "0"], "--batch-spans: it must be more than zero"),
    ] {
        let mut command = replay(&file);
        let run = Run::of(command.args(args).args(ONE_ATTEMPT)).exits(1).says(expected);
        assert_eq!(run.stdout, "");
    }
}
