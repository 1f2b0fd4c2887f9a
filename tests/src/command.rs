//! The binary under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A command that runs `upspan` as it is now, built in the profile of the tests. It reads nothing
/// from standard input and knows nothing of the developer's terminal and OTEL_* variables.
pub fn upspan() -> Command {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(BINARY.get_or_init(build));
    command.stdin(Stdio::null()).env_remove("COLUMNS");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Brings the binary up to date: cargo does so of its own accord only for tests of its own package.
fn build() -> PathBuf {
    // target/PROFILE/deps/TEST, where the profile dev has the directory "debug".
    let test = std::env::current_exe().expect("the test has a path");
    let directory = test.ancestors().nth(2).expect("cargo's layout");
    let target = directory.parent().expect("cargo's layout");
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => panic!("{} is not in cargo's layout", test.display()),
    };
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo says of the running test would let build scripts believe that something changed.
    for (name, _) in std::env::vars_os() {
        let name_bytes = name.as_encoded_bytes();
        if name_bytes.starts_with(b"CARGO_PKG_") || name_bytes.starts_with(b"CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        .args(["build", "--quiet", "--package", "upspan", "--bin", "upspan", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the binary cannot be built");
    directory.join("upspan")
}
