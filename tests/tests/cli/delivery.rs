//! Replays to backends that take everything, something or nothing.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};

use tonic::Status;
use upspan_tests::backend::{Listen, Reply};
use upspan_tests::pki::Authority;

use super::*;

#[test]
fn what_is_sent_arrives() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let run = Run::of(&mut replay_to(&backend, recording("medium-10686"))).exits(0).says_nothing();
    let (taken, totals) = (backend.rest(), run.json());
    let received = all_spans(&taken);
    assert_eq!(received.len(), 12_888);
    assert_eq!(roots(&received).len(), 2148);
    let endpoint = &totals["endpoint"];
    assert_eq!((&totals["upcalls"], &totals["traces"]), (&2148.into(), &2148.into()));
    assert_eq!((&totals["spans"], &endpoint["accepted"]), (&12_888.into(), &12_888.into()));
    assert_eq!((&endpoint["delivered"], &endpoint["rejected"]), (&12_888.into(), &0.into()));
    assert_eq!((&endpoint["failed"], &endpoint["requests"]), (&json("{}"), &taken.len().into()));
}

#[test]
fn totals_for_people() {
    let backend = Backend::start(|_| Reply::Accept);
    insta::assert_snapshot!(transcript(&backend, 0), @r"
    12 upcalls became 12 traces of 72 spans
    http://HOST/: 72 spans: 72 delivered, 0 rejected, 0 failed
    --- standard error
    --- exit code 0
    ");
}

/// What people read of a replay that ends with this code.
fn transcript(backend: &Backend, code: i32) -> String {
    let mut command = replay_for_people(recording("tiny-56"));
    let run = Run::of(command.args(["--endpoint", &url(backend)]).args(ONE_ATTEMPT)).exits(code);
    run.transcript().replace(&url(backend), "http://HOST")
}

#[test]
fn rejected_spans() {
    let backend = Backend::start(|_| Reply::Reject(4, "four were too old"));
    insta::assert_snapshot!(transcript(&backend, 3));
}

#[test]
fn no_trace_service() {
    let backend = Backend::start(|_| Reply::Fail(Status::unimplemented("unknown service")));
    insta::assert_snapshot!(transcript(&backend, 3));
}

#[test]
fn an_exhausted_backend() {
    let backend = Backend::start(|_| Reply::Fail(Status::resource_exhausted("too much")));
    insta::assert_snapshot!(transcript(&backend, 3));
}

#[test]
fn nobody_listens() {
    let mut backend = Backend::start(|_| Reply::Accept);
    backend.kill();
    insta::assert_snapshot!(transcript(&backend, 3));
}

#[test]
fn a_backend_that_does_not_answer() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut command = replay(recording("tiny-56"));
    command.arg("--endpoint").arg(format!("http://{}", listener.local_addr().unwrap()));
    let run = Run::of(command.args(["--export-timeout", "50ms"]).args(ONE_ATTEMPT)).exits(3);
    let run = run.says("OTEL_EXPORTER_OTLP_TIMEOUT");
    assert_eq!(run.json()["endpoint"]["failed"], json(r#"{"timeout": 72}"#));
}

#[test]
fn certificates() {
    let (theirs, other) = (Authority::new(), Authority::new());
    let credentials = theirs.issue("localhost");
    let backend = Backend::listen(Listen::default().tls(&credentials), |_| Reply::Accept);
    let replay = |authority: &Authority| {
        let endpoint = format!("https://localhost:{}", backend.address().port());
        let mut command = replay(recording("tiny-56"));
        command.args(["--endpoint", &endpoint, "--ca-certificate"]).arg(authority.file());
        Run::of(command.args(ONE_ATTEMPT))
    };
    let trusted = replay(&theirs).exits(0).says_nothing();
    assert_eq!(trusted.json()["endpoint"]["delivered"], 72);
    let wrong = replay(&other).exits(3).says("Check the CA certificate");
    assert_eq!(wrong.json()["endpoint"]["failed"], json(r#"{"tls": 72}"#));
}

#[tokio::test]
async fn a_backend_that_is_killed_and_comes_back() {
    let mut backend = Backend::start(|n| if n < 4 { Reply::Accept } else { Reply::Hold });
    let address = backend.address();
    let mut command = replay_to(&backend, recording("medium-10686"));
    command.args(["--batch-spans", "256"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = tokio::process::Command::from(command).spawn().unwrap();
    // Four were answered, the fifth and what comes with it never will.
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(backend.taken().await);
    }
    backend.kill();
    drop(taken.split_off(4));
    let mut backend = Backend::listen(Listen::on(address), |_| Reply::Accept);

    let run = Run::from(child.wait_with_output().await.unwrap()).exits(0);
    taken.extend(backend.rest());
    let delivered = &run.json()["endpoint"];
    assert_eq!(delivered["delivered"], 12_888);
    assert!(delivered["retries"].as_u64().unwrap() > 0);
    let ids: HashSet<_> = all_spans(&taken).into_iter().map(|span| span.span_id).collect();
    assert_eq!(ids.len(), 12_888);
}
