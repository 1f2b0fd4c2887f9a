//! The binary as its users see it: output, errors and exit codes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod bad_input;
mod context;
mod convert;
mod delivery;
mod demo;
mod environment;
mod interrupt;
#[cfg(target_os = "linux")]
mod live;
mod memory;
mod observe;
mod output;
mod report;
mod selection;
mod time;
mod usage;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value as Json;
use upspan_tests::backend::{Backend, Taken};
use upspan_tests::upspan;

/// Fails at once where it would try again.
const ONE_ATTEMPT: [&str; 2] = ["--retry-max-elapsed", "0s"];

/// The path of a recording among the fixtures.
fn recording(name: &str) -> PathBuf {
    fixture(&format!("{name}.events.zst"))
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// What a compressed fixture holds.
fn text(name: &str) -> String {
    let file = std::fs::File::open(fixture(name)).unwrap();
    std::io::read_to_string(zstd::Decoder::new(file).unwrap()).unwrap()
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a finished command left.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    #[track_caller]
    fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Asserts the exit code.
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts what was said on standard error.
    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    #[track_caller]
    fn says_nothing(self) -> Self {
        assert_eq!(self.stderr, "", "{self:#?}");
        self
    }

    fn json(&self) -> Json {
        json(&self.stdout)
    }

    /// For snapshots.
    fn transcript(&self) -> String {
        let Self { code, stdout, stderr } = self;
        format!("{stdout}--- standard error\n{stderr}--- exit code {}\n", code.unwrap())
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a command that is fed with these bytes.
fn run_with_input(command: &mut Command, input: &[u8]) -> Run {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A command may have enough before the end.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap().into()
    })
}

fn report(file: impl AsRef<Path>) -> Command {
    let mut command = upspan();
    command.arg("report").arg(file.as_ref());
    command
}

/// A replay that prints its totals as JSON.
fn replay(file: impl AsRef<Path>) -> Command {
    let mut command = replay_for_people(file);
    command.args(["--format", "json"]);
    command
}

fn replay_for_people(file: impl AsRef<Path>) -> Command {
    let mut command = upspan();
    command.arg("replay").arg(file.as_ref());
    command
}

/// A replay to this backend.
fn replay_to(backend: &Backend, file: impl AsRef<Path>) -> Command {
    let mut command = replay(file);
    command.args(["--endpoint", &url(backend)]);
    command
}

fn url(backend: &Backend) -> String {
    format!("http://{}", backend.address())
}

/// Runs a replay to a file with these arguments: its spans, and its totals.
fn replayed(name: &str, args: &[&str]) -> (Vec<Span>, Json) {
    let run = Run::of(replay(recording(name)).args(["--output", "/dev/stdout"]).args(args));
    let run = run.exits(0).says_nothing();
    let (lines, totals) = run.stdout.trim_end().rsplit_once('\n').unwrap();
    (lines.lines().flat_map(spans_of_line).collect(), json(totals))
}

fn spans_of_line(line: &str) -> Vec<Span> {
    spans(&serde_json::from_str(line).unwrap())
}

fn spans(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).cloned().collect()
}

fn all_spans(taken: &[Taken]) -> Vec<Span> {
    taken.iter().flat_map(|taken| spans(&taken.request)).collect()
}

/// The root spans: one for each upcall.
fn roots(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.name == "upcall").collect()
}

/// The text or number of an attribute, as text.
fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}
