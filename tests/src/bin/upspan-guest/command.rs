//! Other programs: `ip`, `ovs-vsctl` and their like.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Seconds until a program is given up.
const SECONDS: &str = "60";

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
    let mut child = Command::new("timeout")
        .arg(SECONDS)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("{shown} does not read"))?;
    }
    let output = child.wait_with_output().with_context(|| format!("cannot wait for {shown}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown}: {} {}", output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
