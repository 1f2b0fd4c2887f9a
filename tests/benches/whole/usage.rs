//! What a process used.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What a process used from its start to its end.
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    /// In user and kernel mode, by all threads.
    pub(crate) cpu: Duration,
    /// The most memory it had (`ru_maxrss`).
    pub(crate) peak_bytes: u64,
    pub(crate) stdout: Vec<u8>,
}

impl Usage {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub(crate) fn of(command: &mut Command) -> io::Result<Self> {
        let start = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = Vec::new();
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_end(&mut stdout)?;
        }
        let end = child.wait4()?;
        let wall = start.elapsed();
        if !end.status.success() {
            return Err(io::Error::other(format!("{command:?}: {}", end.status)));
        }
        let cpu = end.rusage.utime + end.rusage.stime;
        Ok(Self { wall, cpu, peak_bytes: end.rusage.maxrss, stdout })
    }
}
