//! `upspan demo`.

use upspan_tests::backend::Reply;

use super::*;

#[test]
fn shows_the_whole_way() {
    let run = Run::of(upspan().arg("demo")).exits(0).says_nothing();
    // The receiver has a free port.
    let (before, after) = run.stdout.split_once("http://127.0.0.1:").unwrap();
    let after = after.trim_start_matches(|char: char| char.is_ascii_digit());
    insta::assert_snapshot!(format!("{before}http://127.0.0.1:PORT{after}"));
}

#[test]
fn sends_to_a_backend_that_is_named() {
    for by_variable in [true, false] {
        let mut backend = Backend::start(|_| Reply::Accept);
        let mut command = upspan();
        command.args(["demo", "--slowest", "1"]);
        if by_variable {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url(&backend));
        } else {
            command.args(["--endpoint", &url(&backend)]);
        }
        let run = Run::of(&mut command).exits(0).says_nothing();
        assert_eq!(all_spans(&backend.rest()).len(), 402);
        let sent = format!("sent to {}/: 402 spans: 402 delivered", url(&backend));
        assert!(run.stdout.contains(&sent), "{run:?}");
        assert!(run.stdout.starts_with("The slowest upcall of 67 of a recorded"), "{run:?}");
    }
}

#[test]
fn says_that_nobody_listens() {
    let mut backend = Backend::start(|_| Reply::Accept);
    backend.kill();
    let run = Run::of(upspan().args(["demo", "--endpoint", &url(&backend)]).args(ONE_ATTEMPT));
    let run = run.exits(3).says("Check that the backend runs");
    assert!(run.stdout.contains("402 failed (unreachable 402)"), "{run:?}");
}
