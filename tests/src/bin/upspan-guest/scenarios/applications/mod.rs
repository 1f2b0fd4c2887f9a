//! A service and its clients in two namespaces, instrumented by OpenTelemetry's own packages: their
//! spans go to a collector by way of upspan, and the upcalls of their connections meet them there.
//!
//! What is true is what the applications say of themselves (`tests/vm/apps`).

mod account;
mod judge;
mod program;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use self::account::AppSpan;
use self::judge::Judge;
use self::program::Program;
use super::Place;
use crate::agent::Agent;
use crate::command::run as command;
use crate::network::{H1, H2};
use crate::report::Report;
use crate::traces::Traces;
use crate::wait::{self, LIMIT};

/// Connections that are open at a time: half of them HTTP/1.1, half gRPC.
const CALLS: u16 = 240;

/// Where applications send their spans to: network namespaces do not part unix sockets. The name is
/// what Python's gRPC takes (docs/operations.md).
const RECEIVER: &str = "unix:/run/upspan/otlp@localhost";

/// Where the collector listens.
const COLLECTOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4317);

/// What is tried.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    /// Whether requests carry the trace context.
    propagates: bool,
    /// Names of attributes: `http` are the stable ones, otherwise those before.
    conventions: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind { name: "with propagation", propagates: true, conventions: "http" },
    Kind { name: "without propagation", propagates: false, conventions: "" },
];

/// What was tried.
#[derive(Debug)]
struct Tried {
    kind: Kind,
    spans: Vec<AppSpan>,
    /// From its beginning to its end, in nanoseconds since 1970.
    time: std::ops::Range<u64>,
}

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    let root = place.root.context("this takes a file system with Python: --root")?;
    fs::create_dir_all("/run/upspan")?;
    let mut traces = Traces::start();
    let mut collector = start_collector(root, &traces.endpoint())?;
    let agent = start_agent(place.upspan)?;
    let mut tried = Vec::new();
    for (number, kind) in (1..).zip(KINDS) {
        report.say(format_args!("{CALLS} connections at a time, {}", kind.name));
        tried.push(call(root, kind, number)?);
        collector.must_run()?;
    }
    let ended = agent.stop()?;
    report.check("run ends well", ended.is_well(), ended.said.join(" | "));
    let delivered: usize = ended.said.iter().filter_map(|line| delivered(line)).sum();
    // The collector has no patience once it is asked to end.
    let all = wait::until("all that was delivered has come", LIMIT, || {
        traces.update();
        Ok((traces.spans().count() >= delivered).then_some(()))
    });
    all.with_context(|| format!("{} of {delivered}", traces.spans().count()))?;
    collector.stop()?;
    let judge = Judge::new(traces.spans());
    tried.iter().for_each(|tried| judge.judge(tried, report));
    Ok(())
}

/// How many spans were delivered, if this line says so: `5 spans: 5 delivered, 0 rejected, …`.
fn delivered(line: &str) -> Option<usize> {
    let (_, totals) = line.split_once(" spans: ")?;
    totals.split_once(" delivered")?.0.parse().ok()
}

/// upspan, capturing.
fn start_agent(upspan: &Path) -> anyhow::Result<Agent> {
    let endpoint = format!("http://{COLLECTOR}");
    let arguments = ["run", "--endpoint", &endpoint, "--receive", RECEIVER, "--app-spans"];
    // All upcalls wait until the end, when all spans have come: requests take long under emulation.
    let limits = ["--join-window", "10m", "--queue-spans", "262144", "--drain-timeout", "60s"];
    let mut agent = Agent::start(upspan, &[&arguments[..], &limits].concat())?;
    wait::until("upspan captures", LIMIT, || {
        agent.must_run()?;
        Ok(agent.said().iter().any(|line| line.contains("capturing")).then_some(()))
    })?;
    Ok(agent)
}

/// rotel: an OpenTelemetry collector that is not ours, on the way to what we can look into.
fn start_collector(root: &Path, endpoint: &str) -> anyhow::Result<Agent> {
    let root = root.to_str().context("the root has a strange name")?;
    let arguments = [
        root,
        "sh",
        "-c",
        // The libraries of the test are not for others. It wants authorities, if only to have them.
        "unset LD_LIBRARY_PATH; export SSL_CERT_FILE=/usr/local/lib/apps/certifi/cacert.pem; \
         exec \"$@\" >/job/out/collector.log 2>&1",
        "sh",
        "/usr/local/lib/apps/rotel/rotel-agent",
        "start",
        "--otlp-grpc-endpoint",
        &COLLECTOR.to_string(),
        "--otlp-http-endpoint",
        "127.0.0.1:0",
        "--exporter",
        "otlp",
        "--otlp-exporter-endpoint",
        endpoint,
    ];
    let mut collector = Agent::start(Path::new("/bin/chroot"), &arguments)?;
    wait::until("the collector listens", LIMIT, || {
        collector.must_run()?;
        Ok(TcpStream::connect(COLLECTOR).ok().map(drop))
    })?;
    Ok(collector)
}

/// All clients call twice. The datapath's flows are gone when the service answers the first time,
/// and when it is called the second time.
fn call(root: &Path, kind: Kind, number: u8) -> anyhow::Result<Tried> {
    let start = now();
    let server = H2.address(0, number).to_string();
    let client = H1.address(0, number).to_string();
    let calls = CALLS.to_string();
    let propagates = if kind.propagates { "yes" } else { "no" };
    let start_program = |host, arguments: &[&str]| {
        let environment = [
            ("RECEIVER", RECEIVER),
            ("OTEL_SEMCONV_STABILITY_OPT_IN", kind.conventions),
            ("PYTHONPATH", "/usr/local/lib/apps"),
            ("PYTHON_COLORS", "0"),
        ];
        let arguments = [arguments, &[&calls, propagates]].concat();
        Program::start(root, host, &arguments, &environment)
    };
    let mut service = start_program(H2, &["/job/apps/service.py", &server])?;
    let mut clients = start_program(H1, &["/job/apps/client.py", &client, &server])?;
    service.await_event("ready")?;
    clients.await_event("ready")?;
    clients.tell("call")?;
    service.await_event("all have come")?;
    forget_flows()?;
    service.tell("release")?;
    clients.await_event("answered")?;
    forget_flows()?;
    clients.tell("call")?;
    clients.await_event("answered")?;
    let mut spans = clients.finish()?;
    spans.extend(service.finish()?);
    Ok(Tried { kind, spans, time: start..now() })
}

fn forget_flows() -> anyhow::Result<()> {
    command("ovs-appctl revalidator/purge").map(drop)
}

/// In nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
