//! upcall_cost.py, as `tests/benches/setup` leaves it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::usage::Usage;

/// Open vSwitch's script, and the Python that has what it needs.
pub(crate) struct Reference {
    python: PathBuf,
    script: PathBuf,
}

impl Reference {
    /// `None` if it was not set up.
    pub(crate) fn find() -> Option<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
        let venv = workspace.join(target).join("bench-venv");
        let this = Self { python: venv.join("bin/python"), script: venv.join("upcall_cost.py") };
        (this.python.exists() && this.script.exists()).then_some(this)
    }

    /// Has it read a recording and print its report, without the single events.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn report(&self, recording: &Path) -> io::Result<Usage> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).arg("--quiet").arg("--read-events").arg(recording);
        Usage::of(&mut command)
    }
}
