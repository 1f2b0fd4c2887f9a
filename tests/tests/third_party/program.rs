//! A third-party program that takes spans.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// Reached only by programs that hang.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The path of an installed program.
pub(crate) fn installed(name: &str) -> PathBuf {
    installed_in("third-party/bin", name)
}

/// The path of something that was installed into a directory of the target directory.
pub(crate) fn installed_in(directory: &str, name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = target.join(directory).join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make test`, which sets third-party programs up",
        path.display()
    );
    path
}

/// A running program, and what it prints. It does not outlive the test.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Read all the time: a program whose pipe is full takes no more spans.
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The next line that it prints, if it comes in time; `None` if it ends instead.
    pub(crate) fn line(&self, patience: Duration) -> Result<Option<String>, RecvTimeoutError> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(timeout) => Err(timeout),
        }
    }

    /// The lines that it has not given yet, once `end` has told it to end.
    pub(crate) fn finish(mut self, end: impl FnOnce(&mut Child)) -> Vec<String> {
        end(&mut self.child);
        let lines = std::iter::from_fn(|| self.line(LONG).expect("it ends when told")).collect();
        assert!(self.child.wait().unwrap().success(), "it ends without error");
        lines
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
