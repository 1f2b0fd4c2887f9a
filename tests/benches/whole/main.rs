//! The program as a whole: CPU time compared to upcall_cost.py's, spans per second into a backend
//! that takes them as fast as they come, and memory. Prints a table.
//!
//! `tests/benches/setup` fetches upcall_cost.py. `BENCH_FULL=1` also compares 100,000 events, which
//! take upcall_cost.py eight minutes.

mod null_server;
mod reference;
mod usage;

use std::fs::File;
use std::io::{BufWriter, Cursor, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use upspan::source::recording::{Options, Recording};
use upspan_tests::{fixtures, pvp, upspan};

use null_server::NullServer;
use reference::Reference;
use usage::Usage;

/// How often what takes milliseconds is measured; the median counts.
const TIMES: usize = 15;
/// Passes through the recording: its spans are many times those that the queue holds.
const LOOPS: [usize; 2] = [40, 400];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --all-targets` runs benchmarks, too.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    println!("{:<46} {:>14} {:>14} {:>10}", "", "upspan", "upcall_cost.py", "ratio");
    // First, while this process is small: a child's peak counts from when it was this one's copy.
    replays()?;
    parse()?;
    reports(scratch.path())?;
    Ok(())
}

fn row(what: &str, ours: &str, theirs: &str, ratio: &str) {
    println!("{what:<46} {ours:>14} {theirs:>14} {ratio:>10}");
}

/// Bytes of a plain recording read per second, by one thread.
fn parse() -> Result<(), Box<dyn std::error::Error>> {
    let text: &'static [u8] = fixtures::read("medium-10686.events").leak();
    let read = || -> Result<Duration, Box<dyn std::error::Error>> {
        let start = Instant::now();
        let mut recording = Recording::from_reader(Cursor::new(text), Options::default())?;
        while recording.next()?.is_some() {}
        Ok(start.elapsed())
    };
    let took = median((0..TIMES).map(|_| read()).collect::<Result<_, _>>()?);
    let megabytes = text.len() as f64 / 1e6 / took.as_secs_f64();
    row("parse medium-10686", &format!("{megabytes:.0} MB/s"), "", "");
    Ok(())
}

/// Reports of recordings on which upcall_cost.py is quadratic.
fn reports(scratch: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let reference = Reference::find();
    if reference.is_none() {
        println!("(upcall_cost.py is missing: tests/benches/setup fetches it)");
    }
    let full = std::env::var_os("BENCH_FULL").is_some_and(|full| full == "1");
    let fixture = scratch.join("pvp-10k.events");
    std::fs::write(&fixture, fixtures::read("pvp-10k.events"))?;
    let long = scratch.join("pvp-100k.events");
    let mut out = BufWriter::new(File::create(&long)?);
    pvp::write_recording(100_000, &mut out)?;
    out.flush()?;

    for (recording, name, compare) in [(&fixture, "pvp-10k", true), (&long, "pvp-100k", full)] {
        let theirs = match &reference {
            Some(reference) if compare => Some(reference.report(recording)?.cpu),
            _ => None,
        };
        for (what, arguments) in
            [("report --format json", &["--format", "json"][..]), ("report --quiet", &["--quiet"])]
        {
            let run = || -> std::io::Result<Duration> {
                let mut command = upspan();
                command.arg("report").args(arguments).arg(recording);
                Ok(Usage::of(&mut command)?.cpu)
            };
            let ours = median((0..TIMES).map(|_| run()).collect::<Result<_, _>>()?);
            let (cpu, ratio) = match theirs {
                Some(theirs) => (
                    format!("{:.2} s", theirs.as_secs_f64()),
                    format!("{:.0}", theirs.as_secs_f64() / ours.as_secs_f64()),
                ),
                None if !compare => ("BENCH_FULL=1".to_owned(), String::new()),
                None => Default::default(),
            };
            let ours = format!("{:.1} ms", ours.as_secs_f64() * 1e3);
            row(&format!("CPU time of {what}, {name}"), &ours, &cpu, &ratio);
        }
    }
    Ok(())
}

/// Replays over loopback, as fast as they go.
fn replays() -> Result<(), Box<dyn std::error::Error>> {
    for loops in LOOPS {
        let server = NullServer::start();
        let mut command: Command = upspan();
        command
            .arg("replay")
            .arg(fixtures::path("medium-10686.events.zst"))
            .args(["--format", "json", "--quiet", "--endpoint", &server.url()])
            .arg(format!("--loop={loops}"));
        let usage = Usage::of(&mut command)?;
        let totals: Value = serde_json::from_slice(&usage.stdout)?;
        let sent = totals["spans"].as_u64().unwrap_or(0);
        let delivered = totals["endpoint"]["delivered"].as_u64();
        assert_eq!(delivered, Some(sent), "the backend takes everything");
        let per_span = |duration: Duration| duration.as_secs_f64() / sent as f64;
        let rate = format!("{:.0} spans/s", 1.0 / per_span(usage.wall));
        let what = format!("replay of {:.1} M spans", sent as f64 / 1e6);
        row(&what, &rate, "", "");
        let cpu = format!("{:.2} µs/span", per_span(usage.cpu) * 1e6);
        row(&format!("{what}: CPU time"), &cpu, "", "");
        let bytes = server.bytes() as f64;
        row(&format!("{what}: sent"), &format!("{:.0} MB", bytes / 1e6), "", "");
        let peak = format!("{:.1} MB", usage.peak_bytes as f64 / 1e6);
        row(&format!("{what}: most memory"), &peak, "", "");
    }
    Ok(())
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}
