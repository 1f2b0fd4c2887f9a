//! Other programs: `ip`, `ovs-vsctl` and their like.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;

use crate::process::signal_process;
use crate::wait::LIMIT;

/// Runs a program, whose words are parted by blanks. Returns what it printed.
pub(crate) fn run(line: &str) -> anyhow::Result<String> {
    run_words(&line.split_whitespace().collect::<Vec<_>>())
}

/// Runs a program with arguments that may hold blanks.
pub(crate) fn run_words(words: &[&str]) -> anyhow::Result<String> {
    finish(words, "")
}

/// Runs a program that reads `input`.
pub(crate) fn feed(line: &str, input: &str) -> anyhow::Result<String> {
    finish(&line.split_whitespace().collect::<Vec<_>>(), input)
}

fn finish(words: &[&str], input: &str) -> anyhow::Result<String> {
    let shown = words.join(" ");
    let (program, arguments) = words.split_first().context("no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("{shown} does not read"))?;
    }
    let pid = child.id();
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    let output = match outcome.recv_timeout(LIMIT) {
        Ok(output) => output.with_context(|| format!("cannot wait for {shown}"))?,
        Err(_) => {
            signal_process(pid, Signal::KILL)?;
            bail!("{shown} has not ended within {} s", LIMIT.as_secs());
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown}: {} {}", output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
