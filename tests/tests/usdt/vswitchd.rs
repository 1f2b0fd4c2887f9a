//! Small programs with the name and the probes of vswitchd.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use upspan::source::live::usdt::process::Pid;

/// How the program is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// With its probes in itself.
    Program,
    /// With its probes in a shared library, as `--enable-shared` does.
    SharedLibrary,
    /// With probes that have semaphores, which those of Open vSwitch do not have so far.
    WithSemaphores,
    /// With no probes.
    WithoutProbes,
    /// With one probe of the three, whose arguments have all forms.
    Arguments,
}

/// A running program. It does not outlive the test.
pub(crate) struct Running {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    dir: Arc<TempDir>,
}

impl Running {
    /// Compiles the program, and starts it.
    pub(crate) fn start(build: Build) -> Self {
        let dir = tempfile::tempdir().expect("there is space");
        match build {
            Build::Program => cc(dir.path(), &["main.c", "probes.c", "-o", "ovs-vswitchd"]),
            Build::WithSemaphores => {
                let semaphore = "-DWITH_SEMAPHORE";
                cc(dir.path(), &[semaphore, "main.c", "probes.c", "-o", "ovs-vswitchd"]);
            }
            Build::WithoutProbes => {
                cc(dir.path(), &["-DWITHOUT_PROBES", "main.c", "-o", "ovs-vswitchd"]);
            }
            Build::Arguments => cc(dir.path(), &["arguments.c", "-o", "ovs-vswitchd"]),
            Build::SharedLibrary => {
                cc(dir.path(), &["-shared", "-fPIC", "probes.c", "-o", "libofproto.so"]);
                let link = ["-L.", "-lofproto", "-Wl,-rpath,$ORIGIN"];
                cc(dir.path(), &[&["main.c", "-o", "ovs-vswitchd"][..], &link].concat());
            }
        }
        Self::run(Arc::new(dir))
    }

    /// Starts the same program once more.
    pub(crate) fn another(&self) -> Self {
        Self::run(Arc::clone(&self.dir))
    }

    fn run(dir: Arc<TempDir>) -> Self {
        let mut child = Command::new(dir.path().join("ovs-vswitchd"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was just built");
        let orders = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut running = Self { child, orders, answers, dir };
        running.expect("ready");
        running
    }

    /// Gives it orders, and waits until they are carried out. See tests/usdt/main.c and
    /// tests/usdt/arguments.c for what they mean.
    pub(crate) fn order(&mut self, orders: &str) {
        self.orders.write_all(orders.as_bytes()).expect("it runs");
        for _ in orders.bytes() {
            self.expect("done");
        }
    }

    fn expect(&mut self, answer: &str) {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        assert_eq!(line.trim_end(), answer);
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    /// Where the program and its library are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the program.
    pub(crate) fn end(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compiles files of tests/usdt in `dir`.
fn cc(dir: &Path, arguments: &[&str]) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("usdt");
    let mut cc = Command::new("cc");
    cc.current_dir(dir).args(["-O2", "-Wall", "-Werror"]);
    for &argument in arguments {
        if Path::new(argument).extension().is_some_and(|extension| extension == "c") {
            cc.arg(sources.join(argument));
        } else {
            cc.arg(argument);
        }
    }
    let output = cc.output().expect("there is a C compiler: run tests/usdt/setup");
    assert!(
        output.status.success(),
        "cannot compile tests/usdt; if sys/sdt.h is missing, run tests/usdt/setup:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
