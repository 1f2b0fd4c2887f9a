//! Heads of HTTP/1.x requests.

use super::made::{TRACE, traceparent};
use super::*;

const FOUND: Option<(u128, ContextMethod)> = Some((TRACE, ContextMethod::Traceparent));

fn head(start: &str, headers: &str) -> Option<(u128, ContextMethod)> {
    payload(format!("{start}\r\n{headers}\r\n").as_bytes())
}

#[test]
fn requests_of_any_method() {
    for method in ["GET", "POST", "M-SEARCH", "get", "X", "PROPFIND", "UPDATEREDIRECTREF"] {
        let found = head(&format!("{method} /a?b HTTP/1.1"), &traceparent(TRACE));
        let is_taken = method.bytes().all(|byte| byte.is_ascii_uppercase());
        assert_eq!(found, FOUND.filter(|_| is_taken), "{method}");
    }
    assert_eq!(head("GET http://a/ HTTP/1.0", &traceparent(TRACE)), FOUND);
    assert_eq!(head("OPTIONS * HTTP/1.1", &traceparent(TRACE)), FOUND);
}

#[test]
fn what_is_no_request_line() {
    for start in [
        "HTTP/1.1 200 OK",
        "GET /",
        "GET",
        "GET / HTTP/2.0",
        "GET  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 x",
        "",
        "LONGERTHANANYMETHODIS / HTTP/1.1",
    ] {
        assert_eq!(head(start, &traceparent(TRACE)), None, "{start}");
    }
    let continued = format!("{}\r\n", traceparent(TRACE));
    assert_eq!(payload(continued.as_bytes()), None, "a segment without a start line");
}

#[test]
fn names_in_either_case_and_blanks_around_values() {
    let value = &traceparent(TRACE)[13..68];
    for header in [
        format!("TraceParent: {value}"),
        format!("TRACEPARENT:{value}"),
        format!("traceparent:\t {value} \t"),
        format!("A: b\r\nC:\r\ntraceparent: {value}\r\nZ: y"),
    ] {
        assert_eq!(head("GET / HTTP/1.1", &format!("{header}\r\n")), FOUND, "{header}");
    }
    for header in [
        format!("traceparent : {value}"),
        format!("x-traceparent: {value}"),
        format!("traceparents: {value}"),
        format!("traceparent: \"{value}\""),
        format!("a: b\r\n traceparent: {value}"),
    ] {
        assert_eq!(head("GET / HTTP/1.1", &format!("{header}\r\n")), None, "{header}");
    }
}

#[test]
fn what_follows_the_head_is_not_read() {
    let body = format!("POST / HTTP/1.1\r\nHost: a\r\n\r\n{}\r\n", traceparent(TRACE));
    assert_eq!(payload(body.as_bytes()), None);
}

#[test]
fn several_traceparents_are_none() {
    let twice = traceparent(TRACE).repeat(2);
    assert_eq!(head("GET / HTTP/1.1", &twice), None);
    let twice = format!("{}{}", traceparent(1), traceparent(TRACE));
    assert_eq!(head("GET / HTTP/1.1", &twice), None);
}

#[test]
fn a_header_counts_once_its_line_is_whole() {
    let head = format!("GET / HTTP/1.1\r\n{}tracestate: a=1,b=2\r\n\r\n", traceparent(TRACE));
    let packet = ethernet(&tcp(&[], head.as_bytes()));
    let start = packet.len() - head.len();
    let line_end = |text: &str| start + head.find(text).unwrap() + text.len() + 1;
    for len in 0..=packet.len() {
        let context = find(&packet[..len]);
        // The line feed of a line without carriage return ends it, too.
        assert_eq!(context.is_some(), len > line_end("-01"), "cut to {len}");
        if let Some(context) = context {
            let state = context.span_context().trace_state().header();
            assert_eq!(state, if len > line_end("b=2") { "a=1,b=2" } else { "" });
        }
    }
}

#[test]
fn the_first_64_headers_are_read() {
    let with = |others: usize| format!("{}{}", "a: b\r\n".repeat(others), traceparent(TRACE));
    assert_eq!(head("GET / HTTP/1.1", &with(63)), FOUND);
    assert_eq!(head("GET / HTTP/1.1", &with(64)), None);
}

#[test]
fn the_first_8_kib_are_read() {
    let with = |len: usize| format!("a: {}\r\n{}", "x".repeat(len), traceparent(TRACE));
    assert_eq!(head("GET / HTTP/1.1", &with(8_000)), FOUND);
    assert_eq!(head("GET / HTTP/1.1", &with(8_192)), None);
}

#[test]
fn b3_in_one_header_or_several() {
    let found = Some((7, ContextMethod::B3));
    assert_eq!(head("GET / HTTP/1.1", "b3: 0000000000000007-0000000000000001-1\r\n"), found);
    let several = "X-B3-TraceId: 0000000000000007\r\nx-b3-spanid: 0000000000000001\r\n";
    assert_eq!(head("GET / HTTP/1.1", several), found);
    assert_eq!(head("GET / HTTP/1.1", "b3: 0\r\n"), None);
    let deferred = format!("GET / HTTP/1.1\r\n{several}\r\n");
    let context = find(&ethernet(&tcp(&[], deferred.as_bytes()))).unwrap();
    assert_eq!(context.sampled(), None);
}
