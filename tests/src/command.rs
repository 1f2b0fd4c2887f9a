//! The program itself, as users run it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use escargot::format::Message::CompilerArtifact;
use escargot::{CargoBuild, Message};

/// A command that runs `upspan`, built from the sources as they are, with no environment,
/// so that a developer's `OTEL_*` variables change nothing, and with nothing on standard input.
///
/// # Panics
/// If it cannot be built.
pub fn upspan() -> Command {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(BINARY.get_or_init(build));
    command.env_clear().stdin(Stdio::null());
    command
}

fn build() -> PathBuf {
    // With the tests' packages and a test, the dependencies get the features that they have in
    // `cargo test --workspace`, and are not built a second time.
    let mut build = CargoBuild::new().arg("--workspace").bin("upspan").test("third_party");
    // Nor must they see that a test builds them: build scripts such as ring's run again for it.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            build = build.env_remove(&*name);
        }
    }
    let messages = build.current_release().exec().expect("upspan can be built");
    messages
        .into_iter()
        .find_map(|message| executable(message.expect("upspan can be built")))
        .expect("cargo says where it has put upspan")
}

/// Where `upspan` is, if this says so.
fn executable(message: Message) -> Option<PathBuf> {
    match message.decode().expect("cargo says what can be read") {
        CompilerArtifact(artifact) if artifact.target.name == "upspan" => {
            Some(artifact.executable?.into_owned())
        }
        _ => None,
    }
}
