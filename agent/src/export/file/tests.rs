use bytes::{BufMut, BytesMut};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span};
use serde_json::json;

use super::*;
use crate::trace::Resource;

fn spans(all: &[Span]) -> EncodedSpans {
    let mut bytes = BytesMut::new();
    for span in all {
        bytes.put_u8(2 << 3 | 2);
        span.encode_length_delimited(&mut bytes).unwrap();
    }
    EncodedSpans { bytes: bytes.freeze(), spans: all.len() }
}

fn envelope() -> Envelope {
    Envelope::new(&Resource::from_env(None, |_| None).unwrap())
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn span() -> Span {
    Span {
        trace_id: (1..=16).collect(),
        span_id: (0xf1..=0xf8).collect(),
        parent_span_id: vec![7; 8],
        name: "upcall".to_owned(),
        kind: span::SpanKind::Internal as i32,
        flags: 0x101,
        start_time_unix_nano: u64::MAX,
        end_time_unix_nano: 9_007_199_254_740_993,
        attributes: vec![
            attribute("s", Value::StringValue("two\nlines \"quoted\"".to_owned())),
            attribute("i", Value::IntValue(i64::MIN)),
            attribute("b", Value::BoolValue(false)),
        ],
        events: vec![span::Event {
            time_unix_nano: 1,
            name: "recv_upcall".to_owned(),
            ..span::Event::default()
        }],
        links: vec![span::Link {
            trace_id: vec![0xab; 16],
            span_id: vec![0xcd; 8],
            ..span::Link::default()
        }],
        status: Some(Status { code: 2, message: "lost".to_owned() }),
        ..Span::default()
    }
}

fn write(path: &Path, batches: &[EncodedSpans]) -> (FileOutput, Vec<Result<(), OutputError>>) {
    let mut output = FileOutput::create(path, envelope()).unwrap();
    let results = batches.iter().map(|batch| output.write(batch)).collect();
    (output, results)
}

/// <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>
#[test]
fn a_line_is_a_request_in_the_json_encoding_of_the_specification() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let (output, _) = write(&path, &[spans(&[span()]), spans(&[span(), span()])]);
    assert_eq!((output.totals().delivered, output.totals().requests), (3, 2));

    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let span = &lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "0102030405060708090a0b0c0d0e0f10");
    assert_eq!(span["spanId"], "f1f2f3f4f5f6f7f8");
    assert_eq!(span["parentSpanId"], "0707070707070707");
    assert_eq!(span["kind"], 1);
    assert_eq!(span["flags"], 0x101);
    assert_eq!(span["startTimeUnixNano"], "18446744073709551615");
    assert_eq!(span["endTimeUnixNano"], "9007199254740993");
    assert_eq!(span["status"], json!({"code": 2, "message": "lost"}));
    assert_eq!(
        span["attributes"],
        json!([
            {"key": "s", "value": {"stringValue": "two\nlines \"quoted\""}},
            {"key": "i", "value": {"intValue": "-9223372036854775808"}},
            {"key": "b", "value": {"boolValue": false}},
        ])
    );
    assert_eq!(span["events"][0]["timeUnixNano"], "1");
    assert_eq!(span["links"][0]["traceId"], "ab".repeat(16));
}

#[test]
fn a_full_disk_is_a_clear_error_and_a_counted_failure() {
    let (output, results) = write(Path::new("/dev/full"), &[spans(&[span(), span()])]);
    let error = results[0].as_ref().unwrap_err().to_string();
    assert!(error.starts_with("cannot write to /dev/full: No space left on device"), "{error}");
    assert_eq!(output.totals().failed["output"], 2);
    assert_eq!(output.totals().pending(), 0);
}

#[test]
fn a_reader_that_left_is_a_clear_error_and_a_counted_failure() {
    use std::os::fd::AsRawFd;

    let (reader, writer) = io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut output = FileOutput::create(Path::new(&path), envelope()).unwrap();
    output.write(&spans(&[span()])).unwrap();
    drop(reader);
    let error = output.write(&spans(&[span()])).unwrap_err().to_string();
    assert!(error.contains("Broken pipe"), "{error}");
    assert_eq!((output.totals().delivered, output.totals().failed["output"]), (1, 1));
}

#[test]
fn half_a_line_is_cut_off() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"whole\nhal").unwrap();
    cut_back(&mut file, 6);
    file.write_all(b"next\n").unwrap();
    let mut text = String::new();
    io::Seek::rewind(&mut file).unwrap();
    io::Read::read_to_string(&mut file, &mut text).unwrap();
    assert_eq!(text, "whole\nnext\n");
}

#[test]
fn what_is_no_otlp_is_an_error_and_leaves_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let garbage = EncodedSpans { bytes: bytes::Bytes::from_static(b"\x12\xff"), spans: 1 };
    let (output, results) = write(&path, &[garbage]);
    assert!(matches!(results[0], Err(OutputError::Encoding(_))));
    assert_eq!(output.totals().failed(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"");
}

#[test]
fn a_place_that_is_none_is_said() {
    let error = FileOutput::create(Path::new("/nonexistent/x"), envelope()).unwrap_err();
    assert!(error.to_string().starts_with("cannot create /nonexistent/x: No such file"), "{error}");
}
