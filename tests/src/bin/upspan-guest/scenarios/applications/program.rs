//! An application, which is told what to do and says what it did, a line each.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::account::AppSpan;
use crate::network::Host;
use crate::wait;

/// It runs until this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Program {
    /// Under emulation, hundreds of calls at a time take their time.
    const PATIENCE: Duration = Duration::from_secs(240);

    /// Runs Python in a host's namespace and below `root`.
    pub(super) fn start(
        root: &Path,
        host: Host,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut child = Command::new("ip")
            .args(["netns", "exec", host.name, "chroot"])
            .arg(root)
            .arg("python3")
            .args(arguments)
            .envs(environment.iter().copied())
            // The libraries of the test are not for others.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {arguments:?}"))?;
        let stdin = child.stdin.take().context("stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("stdout")?);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, stdin, lines })
    }

    /// Tells it to do something.
    pub(super) fn tell(&mut self, command: &str) -> anyhow::Result<()> {
        writeln!(self.stdin, "{command}").with_context(|| format!("{command} is not read"))
    }

    /// Waits until it says that something has happened.
    pub(super) fn await_event(&mut self, event: &str) -> anyhow::Result<()> {
        let line = self.line().with_context(|| format!("waiting for `{event}`"))?;
        ensure!(line["event"] == event, "{line} instead of {event}");
        Ok(())
    }

    /// Ends it. Returns what it says of its spans, which have been sent.
    pub(super) fn finish(mut self) -> anyhow::Result<Vec<AppSpan>> {
        self.tell("end")?;
        let mut spans = Vec::new();
        loop {
            let line = self.line().context("waiting for its account")?;
            match line["event"].as_str() {
                None => spans.push(AppSpan::read(&line)?),
                Some("end") => return Ok(spans),
                Some(_) => bail!("{line} instead of its account"),
            }
        }
    }

    fn line(&mut self) -> anyhow::Result<Value> {
        let line = wait::until("a line", Self::PATIENCE, || match self.lines.try_recv() {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => bail!("the application has ended"),
        })?;
        serde_json::from_str(&line).with_context(|| line)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
