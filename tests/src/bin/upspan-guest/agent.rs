//! The program under test, running.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::process::signal_process;
use crate::wait;

/// `upspan`, doing what it was told. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    listener: Option<JoinHandle<()>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it wrote to standard error.
    pub(crate) said: Vec<String>,
}

impl Ended {
    /// Whether it ended as one that was asked to.
    pub(crate) fn is_well(&self) -> bool {
        const INTERRUPTED: i32 = 130;
        self.status.success() || self.status.code() == Some(INTERRUPTED)
    }
}

impl Agent {
    /// Longest time to end after SIGTERM.
    const END: Duration = Duration::from_secs(60);

    /// Starts it.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let listener = child.stderr.take().map(|stderr| {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            })
        });
        Ok(Self { child, said, listener })
    }

    /// Lines on standard error so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended.
    pub(crate) fn must_run(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("upspan has ended: {status}: {}", self.said().join("\n"));
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<Ended> {
        self.signal(Signal::TERM)?;
        let status = wait::until("the end of upspan", Self::END, || Ok(self.child.try_wait()?))
            .with_context(|| self.said().join(" | "))?;
        // It has read everything when it ends.
        if let Some(Err(_)) = self.listener.take().map(JoinHandle::join) {
            bail!("whoever reads what upspan says has panicked");
        }
        Ok(Ended { status, said: self.said() })
    }

    /// Ends it without asking.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        signal_process(self.pid(), signal)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
