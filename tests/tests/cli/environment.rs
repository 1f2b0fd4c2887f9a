//! The OTEL_* variables.

use upspan_tests::backend::Reply;

use super::*;

#[test]
fn where_to_and_from_whom() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let mut command = replay(recording("tiny-56"));
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", url(&backend))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
        .env("OTEL_SERVICE_NAME", "switch")
        .env("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,rack=7%2C8");
    let run = Run::of(&mut command).exits(0).says_nothing();
    assert_eq!(run.json()["endpoint"]["url"], url(&backend) + "/");
    let taken = backend.rest();
    assert_eq!(taken[0].headers.get("x-tenant").unwrap(), "blue");
    let resource = taken[0].request.resource_spans[0].resource.clone().unwrap().attributes;
    assert_eq!(attribute(&resource, "service.name").as_deref(), Some("switch"));
    assert_eq!(attribute(&resource, "rack").as_deref(), Some("7,8"));
}

#[test]
fn a_flag_goes_above_a_variable() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let mut command = replay_to(&backend, recording("tiny-56"));
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    Run::of(&mut command).exits(0).says_nothing();
    assert_eq!(all_spans(&backend.rest()).len(), 72);
}

#[test]
fn what_is_wrong_is_named() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "foo://host"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "lzma"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_RESOURCE_ATTRIBUTES", "novalue"),
    ] {
        let mut command = replay(recording("tiny-56"));
        let run = Run::of(command.env(name, value).args(ONE_ATTEMPT)).exits(1);
        run.says(&format!("upspan: {name}"));
    }
}

#[test]
fn disabled() {
    let disabled = |args: &[&str]| {
        let mut command = replay(recording("tiny-56"));
        Run::of(command.env("OTEL_SDK_DISABLED", "true").args(args))
    };
    disabled(&[]).exits(1).says(
        "OTEL_SDK_DISABLED is true, so nothing would be sent: unset it, or name --endpoint, \
         --output or --api",
    );
    disabled(&["--output", "/dev/null"]).exits(0);
    disabled(&["--api", "127.0.0.1:0"]).exits(0);
    let mut backend = Backend::start(|_| Reply::Accept);
    disabled(&["--endpoint", &url(&backend)]).exits(0);
    assert_eq!(all_spans(&backend.rest()).len(), 72);
}
