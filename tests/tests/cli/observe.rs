//! A command that shows what another one serves.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin};

use tempfile::TempDir;

use super::*;

/// A replay that waits for more to read, and serves what it has seen.
struct Replay {
    child: Child,
    stdin: Option<ChildStdin>,
    directory: TempDir,
}

impl Replay {
    fn of(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = replay_for_people("-");
        command
            .args(["--timestamps", "original", "--seed", "1", "--quiet", "--api"])
            .arg(format!("unix:{}", directory.path().join("api.sock").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text(&format!("{name}.events.zst")).as_bytes()).unwrap();
        stdin.flush().unwrap();
        Self { child, stdin: Some(stdin), directory }
    }

    fn url(&self) -> String {
        format!("unix:{}", self.directory.path().join("api.sock").display())
    }

    /// A command that asks it.
    fn observe(&self, args: &[&str]) -> Command {
        let mut command = upspan();
        command.args(["observe", "--server", &self.url()]).args(args);
        command
    }

    /// Waits until so many upcalls can be had: a client that follows gets them as they come.
    fn wait_for(&self, upcalls: usize) {
        let socket = self.directory.path().join("api.sock");
        while !socket.exists() {
            std::thread::yield_now();
        }
        loop {
            let run = Run::of(&mut self.observe(&["--last", "1000", "--format", "json"]));
            if run.stdout.lines().count() >= upcalls {
                return;
            }
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[test]
fn upcalls_are_shown_in_every_format() {
    let replay = Replay::of("small-335");
    replay.wait_for(30);
    for format in ["table", "waterfall", "json", "dict"] {
        // Those are there already; what comes later started later.
        let args = ["--until", "1970-01-01T00:05:00.010Z", "--format", format];
        let run = Run::of(&mut replay.observe(&args)).exits(0).says_nothing();
        insta::assert_snapshot!(format!("observe_{format}"), run.stdout);
    }
}

#[test]
fn following_ends_with_the_server() {
    let mut replay = Replay::of("tiny-56");
    replay.wait_for(1);
    let args = ["--follow", "--last", "1000", "--format", "json"];
    let mut following = replay.observe(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let sequence = |line: std::io::Result<String>| json(&line.unwrap())["sequence"].clone();
    assert_eq!(sequence(lines.next().unwrap()), 0);
    // It is connected. The end of the input lets go of what is not put together yet.
    drop(replay.stdin.take());
    let sequences: Vec<_> = lines.map(sequence).collect();
    assert_eq!(sequences, (1..=sequences.len()).collect::<Vec<_>>());
    assert!(following.wait().unwrap().success());
}

#[test]
fn without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let none = format!("unix:{}", directory.path().join("none").display());
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let observe = |server: &str| Run::of(upspan().args(["observe", "--server", server])).exits(1);
    observe(&none).says("no upspan listens on").says("start `upspan run`");
    observe(&format!("unix:{}", file.display())).says("no upspan listens on");
    observe("http://127.0.0.1:1").says("cannot connect to http://127.0.0.1:1");
    Run::of(upspan().args(["observe", "--server", "nowhere"])).exits(2).says("is no server");
    Run::of(upspan().arg("observe").env("UPSPAN_SERVER", "nowhere")).exits(1).says("UPSPAN_SERVER");
    Run::of(upspan().args(["observe", "--tui", "--server", &none]))
        .exits(1)
        .says("needs a terminal");
}

#[test]
fn what_would_let_in_anyone_is_refused() {
    let file = recording("tiny-56");
    for (args, said) in [
        (&["--api", "https://0.0.0.0:0"][..], "is no address to listen on"),
        (&["--api", "0.0.0.0:0"], "nothing would be encrypted"),
        (&["--api", "unix:/run/x", "--api-key", "x"], "--api-key: it is for TCP"),
        (&["--api", "unix:/dev/null"], "is no socket"),
        (&["--api", "unix:/dev/null/x"], "cannot listen on"),
    ] {
        let run = Run::of(replay(&file).args(args)).exits(1).says(said);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn wrong_selections() {
    let replay = Replay::of("tiny-56");
    replay.wait_for(1);
    let observe = |args: &[&str]| Run::of(&mut replay.observe(args));
    observe(&["--fields", "payload"]).exits(1).says("has no field 'payload'");
    observe(&["--since", "1m", "--until", "2m"]).exits(1).says("nothing can be between them");
    for args in [
        ["--flow", "10.0.0.0/33"],
        ["--since", "yesterday"],
        ["--trace-id", "xyz"],
        ["--match", "guess"],
        ["--completeness", "half"],
    ] {
        observe(&args).exits(2);
    }
}
