//! The whole way from an upcall to a request, read back by the generated code.

mod lineage;

use std::collections::{HashMap, HashSet};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message as _;

use super::names::{self, Place};
use super::*;
use crate::enrich::flow_key::FlowKey;
use crate::event::{
    Comm, Cpu, EventHead, EventKind, FlowKeyBytes, InPort, MonotonicNs, Ordinal, Packet, Tid,
    UpcallType,
};
use crate::ports::{DatapathId, PortNo};
use crate::upcall::{BatchPlace, KernelSide, MatchMethod, Missing, MissingReason};

/// A UDP datagram that came in by a real port `p1`, and its flow key.
const PACKET: &[u8] = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0\x45\0\0\x67\xf7\x99\x40\0\x40\x11\
    \x2e\xea\x0a\0\0\x01\x0a\0\0\x02\xae\x09\x23\0\0\x53\x69\x27traceparent: 00-4bf9";
const KEY: &[u8] = b"\x08\0\x14\0\0\0\0\0\x08\0\x13\0\0\0\0\0\x08\0\x02\0\0\0\0\0\x08\0\x03\0\x02\
    \0\0\0\x08\0\x0f\0\0\0\0\0\x08\0\x16\0\x21\0\0\0\x06\0\x17\0\x05\0\0\0\x08\0\x18\0\0\0\0\0";

fn head(ts: u64, cpu: u32, tid: u32, comm: &str) -> EventHead {
    EventHead {
        ordinal: Ordinal(0),
        ts: MonotonicNs(93_515_000_000 + ts),
        cpu: Cpu(cpu),
        tid: Tid(tid),
        comm: Comm::from_bytes(comm.as_bytes()),
    }
}

fn ports() -> (Ports, DatapathId) {
    let mut ports = Ports::default();
    let datapath = ports.datapath(b"system@ovs-system").expect("the table is empty");
    ports.add_port(datapath, PortNo(2), b"p1");
    (ports, datapath)
}

/// An upcall that has everything; the last of three in its batch.
fn complete() -> Upcall<'static> {
    Upcall {
        upcall_type: UpcallType::Miss,
        datapath: ports().1,
        in_port: InPort::Port(PortNo(2)),
        kernel: Some(KernelSide {
            head: head(0, 0, 887, "nping"),
            port: PortNo(2),
            packet_len: 117,
            matched: MatchMethod::Checksum,
            gso_segment: None,
        }),
        recv: head(150_001, 1, 199, "handler6"),
        packet: Packet { len: 117, bytes: PACKET },
        key: FlowKeyBytes { len: 132, bytes: KEY },
        translated: Some(head(210_002, 1, 199, "handler6")),
        flow_put: Some(head(230_003, 1, 199, "handler6")),
        flow_execute: Some(head(231_004, 1, 199, "handler6")),
        packet_execute: Some(head(300_005, 1, 199, "handler6")),
        batch: BatchPlace { size: 3, index: 2 },
        missing: Missing::default(),
    }
}

fn seeded() -> Tracer {
    Tracer::new(TracerConfig {
        ids: IdGenerator::seeded(42),
        anchor: TimeAnchor::new(MonotonicNs(93_515_000_000), 1_700_000_000_123_456_789),
        ..TracerConfig::default()
    })
}

fn request(spans: &EncodedSpans) -> ExportTraceServiceRequest {
    let resource = Resource::from_env(Some("worker-3"), |_| None).expect("an empty environment");
    let envelope = Envelope::new(&resource);
    let bytes = envelope.request(spans);
    assert!(bytes.len() <= spans.bytes.len() + envelope.overhead_bytes());
    let request = ExportTraceServiceRequest::decode(&bytes[..]).expect("a request");
    assert!(request.encode_to_vec() == bytes, "the generated code writes other bytes");
    request
}

fn spans(request: &ExportTraceServiceRequest) -> &[Span] {
    let [resource] = &request.resource_spans[..] else { panic!("one resource") };
    let [scope] = &resource.scope_spans[..] else { panic!("one scope") };
    &scope.spans
}

fn trace_one(upcall: &Upcall<'_>) -> ExportTraceServiceRequest {
    let mut batch = SpanBatch::default();
    let traced = seeded().trace(upcall, &ports().0, &mut batch).expect("sampled");
    assert_eq!((traced.spans, 1), (batch.spans(), batch.traces()));
    let request = request(&batch.take());
    assert_eq!(spans(&request).len(), traced.spans);
    assert!(batch.is_empty() && batch.len_bytes() == 0 && batch.traces() == 0);
    request
}

fn value<'s>(attributes: &'s [KeyValue], name: &str) -> Option<&'s Value> {
    attributes.iter().find(|kv| kv.key == name)?.value.as_ref()?.value.as_ref()
}

fn names_of(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn events_of(span: &Span) -> Vec<&str> {
    span.events.iter().map(|event| event.name.as_str()).collect()
}

/// As JSON, less what changes with each release, and the flow key, which has tests of its own.
fn snapshot(upcall: &Upcall<'_>) -> String {
    let mut request = trace_one(upcall);
    let resource = &mut request.resource_spans[0];
    let scope = &mut resource.scope_spans[0];
    scope.scope.as_mut().expect("a scope").version = "[version]".to_owned();
    let key = FlowKey::new(upcall.key).to_string();
    for kv in resource
        .resource
        .iter_mut()
        .flat_map(|resource| &mut resource.attributes)
        .chain(&mut scope.spans[0].attributes)
    {
        let redacted = match kv.key.as_str() {
            "service.version" => "[version]",
            "ovs.flow.key" => {
                assert_eq!(
                    kv.value.as_ref().and_then(|value| value.value.as_ref()),
                    Some(&Value::StringValue(key.clone()))
                );
                "[flow key]"
            }
            _ => continue,
        };
        kv.value = Some(AnyValue { value: Some(Value::StringValue(redacted.to_owned())) });
    }
    serde_json::to_string_pretty(&request).expect("JSON")
}

#[test]
fn a_complete_upcall() {
    insta::assert_snapshot!(snapshot(&complete()));
}

#[test]
fn without_flow_put_the_lookup_ends_with_the_execute() {
    let upcall = Upcall { flow_put: None, ..complete() };
    insta::assert_snapshot!(snapshot(&upcall));
}

#[test]
fn without_kernel_side() {
    let mut upcall = Upcall { kernel: None, ..complete() };
    upcall.missing.set(EventKind::DpUpcall, MissingReason::NotSeen);
    insta::assert_snapshot!(snapshot(&upcall));
}

#[test]
fn a_gso_segment() {
    let mut upcall = complete();
    upcall.kernel = upcall.kernel.map(|kernel| KernelSide {
        packet_len: 65_226,
        matched: MatchMethod::Prefix,
        gso_segment: Some(3),
        ..kernel
    });
    insta::assert_snapshot!(snapshot(&upcall));
}

#[test]
fn an_upcall_of_which_only_the_translation_is_known() {
    let mut upcall = Upcall {
        kernel: None,
        in_port: InPort::Any,
        flow_put: None,
        flow_execute: None,
        packet_execute: None,
        key: FlowKeyBytes::default(),
        ..complete()
    };
    upcall.missing.set(EventKind::DpUpcall, MissingReason::Ambiguous);
    upcall.missing.set(EventKind::OpFlowExecute, MissingReason::TimedOut);
    insta::assert_snapshot!(snapshot(&upcall));
}

#[test]
fn payload_stays_here() {
    let mut batch = SpanBatch::default();
    seeded().trace(&complete(), &ports().0, &mut batch).expect("sampled");
    let bytes = batch.take().bytes;
    assert!(!bytes.windows(11).any(|window| window == b"traceparent"));
}

#[test]
fn children_stay_within_parents_when_the_clock_steps_back() {
    let mut upcall = complete();
    upcall.recv.ts.0 -= 200_000;
    upcall.translated = Some(head(999_999, 0, 199, "handler6"));
    let request = trace_one(&upcall);
    let at = |name: &str| {
        let span = spans(&request).iter().find(|span| span.name == name).expect("the span");
        (span.start_time_unix_nano - 1_700_000_000_123_400_000, span.end_time_unix_nano)
    };
    let end = |ns: u64| 1_700_000_000_123_456_789 + ns;
    assert_eq!(at("upcall"), (6_790, end(300_005)), "from recv_upcall, the earliest");
    assert_eq!(at("kernel_to_vswitchd"), (56_789, end(0)), "empty");
    assert_eq!(at("lookup"), (6_790, end(230_003)));
    assert_eq!(at("translate"), (6_790, end(230_003)), "cut to the lookup");
    assert_eq!(at("batch_wait"), (286_792, end(230_003)), "empty, within the lookup");
}

#[test]
fn an_execute_that_the_kernel_was_not_seen_to_run_is_on_the_root() {
    let upcall = Upcall { packet_execute: None, ..complete() };
    let request = trace_one(&upcall);
    let [root, kernel, lookup, translate, wait] = spans(&request) else { panic!("five spans") };
    assert_eq!(events_of(root), ["op_flow_execute"]);
    assert_eq!(events_of(kernel), ["dp_upcall", "recv_upcall"]);
    assert_eq!(events_of(lookup), ["op_flow_put"]);
    assert!(translate.events.is_empty() && wait.events.is_empty());

    let request = trace_one(&Upcall { flow_put: None, ..upcall });
    assert_eq!(events_of(&spans(&request)[2]), ["op_flow_execute"], "it ends the lookup");
}

#[test]
fn what_is_not_sampled_leaves_no_trace() {
    let mut tracer = Tracer::new(TracerConfig {
        sampler: Sampler::by_id(RatioSampler::ALWAYS_OFF),
        ..TracerConfig::default()
    });
    let mut batch = SpanBatch::default();
    assert_eq!(tracer.trace(&complete(), &ports().0, &mut batch), None);
    assert!(batch.is_empty() && batch.len_bytes() == 0 && batch.traces() == 0);
}

#[test]
fn a_new_anchor_moves_what_follows() {
    let (ports, _) = ports();
    let (mut tracer, mut batch) = (seeded(), SpanBatch::default());
    tracer.trace(&complete(), &ports, &mut batch);
    tracer.set_anchor(TimeAnchor::default());
    tracer.trace(&complete(), &ports, &mut batch);
    let request = request(&batch.take());
    let starts: Vec<_> = spans(&request)
        .iter()
        .filter(|span| span.parent_span_id.is_empty())
        .map(|root| root.start_time_unix_nano)
        .collect();
    assert_eq!(starts, [1_700_000_000_123_456_789, 93_515_000_000]);
}

#[test]
fn a_wall_clock_that_was_set_tears_no_trace() {
    const HOUR: u64 = 3_600_000_000_000;
    let (ports, _) = ports();
    let (mut tracer, mut batch) = (seeded(), SpanBatch::default());
    let first = complete().kernel.expect("it has one").head.ts;
    let anchors = [5 * HOUR, 2 * HOUR, 9 * HOUR].map(|unix_ns| TimeAnchor::new(first, unix_ns));
    for anchor in anchors {
        // The events were before the clock was set: what counts is the anchor when they are traced.
        tracer.set_anchor(anchor);
        tracer.trace(&complete(), &ports, &mut batch);
    }
    let request = request(&batch.take());
    let spans = spans(&request);
    let traces: Vec<_> = spans.chunk_by(|a, b| a.trace_id == b.trace_id).collect();
    assert_eq!(traces.len(), anchors.len());
    let times = |trace: &[Span], anchor: u64| -> Vec<_> {
        let ends =
            trace.iter().flat_map(|span| [span.start_time_unix_nano, span.end_time_unix_nano]);
        let events = trace.iter().flat_map(|span| &span.events).map(|event| event.time_unix_nano);
        ends.chain(events).map(|time| time.wrapping_sub(anchor)).collect()
    };
    let expected = times(traces[0], 5 * HOUR);
    assert!(expected.iter().all(|&since| since < 1_000_000_000), "{expected:?}");
    assert_eq!(times(traces[1], 2 * HOUR), expected, "set back");
    assert_eq!(times(traces[2], 9 * HOUR), expected, "set ahead");
}

#[test]
fn a_batch_can_be_cleared_and_filled_again() {
    let (ports, _) = ports();
    let mut batch = SpanBatch::with_capacity(10_000);
    seeded().trace(&complete(), &ports, &mut batch);
    let once = batch.take().bytes;
    seeded().trace(&complete(), &ports, &mut batch);
    batch.clear();
    assert!(batch.is_empty() && batch.len_bytes() == 0 && batch.traces() == 0);
    seeded().trace(&complete(), &ports, &mut batch);
    assert_eq!(batch.take().bytes, once);
}

fn any_head() -> impl Strategy<Value = EventHead> {
    (any::<u64>(), any::<u32>(), any::<u32>(), any::<[u8; 16]>()).prop_map(
        |(ts, cpu, tid, comm)| EventHead {
            ordinal: Ordinal(0),
            ts: MonotonicNs(ts),
            cpu: Cpu(cpu),
            tid: Tid(tid),
            comm: Comm::from_bytes(&comm),
        },
    )
}

fn maybe_head() -> impl Strategy<Value = Option<EventHead>> {
    proptest::option::of(any_head())
}

fn any_kernel() -> impl Strategy<Value = Option<KernelSide>> {
    let method = prop_oneof![Just(MatchMethod::Exact), Just(MatchMethod::Vlan)];
    let parts = (any_head(), any::<u32>(), any::<u32>(), method, any::<Option<u32>>());
    proptest::option::of(parts.prop_map(|(head, port, packet_len, matched, gso_segment)| {
        KernelSide { head, port: PortNo(port), packet_len, matched, gso_segment }
    }))
}

fn any_missing() -> impl Strategy<Value = Missing> {
    let reason = proptest::option::of(prop_oneof![
        Just(MissingReason::NotSeen),
        Just(MissingReason::Ambiguous),
        Just(MissingReason::Ended),
        Just(MissingReason::TimedOut),
    ]);
    proptest::array::uniform5(reason).prop_map(|reasons| {
        let mut missing = Missing::default();
        for (kind, reason) in EventKind::ALL.into_iter().zip(reasons) {
            if let Some(reason) = reason {
                missing.set(kind, reason);
            }
        }
        missing
    })
}

/// Real bytes with a few of them changed, or any bytes.
fn any_bytes(real: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let changed = (0..=real.len(), any::<usize>(), any::<u8>()).prop_map(|(len, at, byte)| {
        let mut bytes = real[..len].to_vec();
        if let Some(changed) = at.checked_rem(len).and_then(|at| bytes.get_mut(at)) {
            *changed = byte;
        }
        bytes
    });
    prop_oneof![changed, proptest::collection::vec(any::<u8>(), 0..300)]
}

/// Any upcall; its bytes are leaked, which a test may.
fn any_upcall() -> impl Strategy<Value = Upcall<'static>> {
    let events = (any_head(), maybe_head(), maybe_head(), maybe_head(), maybe_head());
    let bytes = (any_bytes(PACKET), any_bytes(KEY), any::<u16>());
    let batch = (any::<u32>(), any::<u32>()).prop_map(|(size, index)| BatchPlace { size, index });
    let port = prop_oneof![Just(InPort::Any), any::<u32>().prop_map(|no| InPort::Port(PortNo(no)))];
    (events, any_kernel(), bytes, batch, port, any_missing()).prop_map(
        |(events, kernel, (packet, key, beyond), batch, in_port, missing)| {
            let (recv, translated, flow_put, flow_execute, packet_execute) = events;
            let len = |bytes: &[u8]| u32::from(beyond) + bytes.len() as u32;
            Upcall {
                upcall_type: UpcallType::Action,
                datapath: ports().1,
                in_port,
                kernel,
                recv,
                packet: Packet { len: len(&packet), bytes: packet.leak() },
                key: FlowKeyBytes { len: len(&key), bytes: key.leak() },
                translated,
                flow_put,
                flow_execute,
                packet_execute,
                batch,
                missing,
            }
        },
    )
}

fn check_attributes(attributes: &[KeyValue], places: &[Place]) -> Result<(), TestCaseError> {
    let mut seen = HashSet::new();
    for KeyValue { key, value, .. } in attributes {
        prop_assert!(seen.insert(key), "{key} twice");
        let known = names::ATTRIBUTES.iter().find(|known| known.name == key);
        let known = known.ok_or_else(|| TestCaseError::fail(format!("{key} is not documented")))?;
        prop_assert!(places.contains(&known.place), "{key} is out of place");
        let kind = match value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(_)) => "string",
            Some(Value::IntValue(_)) => "int",
            Some(Value::BoolValue(_)) => "boolean",
            Some(Value::ArrayValue(_)) => "string[]",
            other => return Err(TestCaseError::fail(format!("{key} is {other:?}"))),
        };
        prop_assert_eq!(kind, known.value);
    }
    Ok(())
}

/// What holds for the spans of every upcall.
fn check_trace(upcall: &Upcall<'_>, spans: &[Span]) -> Result<(), TestCaseError> {
    let by_id: HashMap<_, _> = spans.iter().map(|span| (&span.span_id, span)).collect();
    prop_assert_eq!(by_id.len(), spans.len(), "span ids are unique");
    let phases: Vec<_> = upcall.phases().map(|phase| phase.kind.name()).collect();
    prop_assert_eq!(names_of(spans), [&["upcall"], &phases[..]].concat());
    let mut events: Vec<_> = spans.iter().flat_map(events_of).collect();
    let mut expected: Vec<_> = EventKind::ALL
        .into_iter()
        .filter(|&kind| upcall.event(kind).is_some())
        .map(EventKind::name)
        .collect();
    events.sort_unstable();
    expected.sort_unstable();
    prop_assert_eq!(events, expected, "every event once");
    for span in spans {
        prop_assert_eq!(&span.trace_id, &spans[0].trace_id);
        prop_assert!(span.trace_id.len() == 16 && span.trace_id.iter().any(|&byte| byte != 0));
        prop_assert!(span.span_id.len() == 8 && span.span_id.iter().any(|&byte| byte != 0));
        prop_assert_eq!((span.kind, span.flags), (1, 0x103));
        prop_assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        prop_assert_eq!(span.name == "upcall", span.parent_span_id.is_empty());
        if !span.parent_span_id.is_empty() {
            let parent = by_id.get(&span.parent_span_id);
            let parent = parent.ok_or_else(|| TestCaseError::fail("no such parent"))?;
            prop_assert!(parent.start_time_unix_nano <= span.start_time_unix_nano);
            prop_assert!(span.end_time_unix_nano <= parent.end_time_unix_nano);
        }
        check_attributes(&span.attributes, &[Place::Root, Place::RootAndEvents])?;
        for event in &span.events {
            check_attributes(&event.attributes, &[Place::Events, Place::RootAndEvents])?;
        }
    }
    let complete = value(&spans[0].attributes, "ovs.upcall.complete");
    prop_assert_eq!(complete, Some(&Value::BoolValue(upcall.is_complete())));
    Ok(())
}

proptest! {
    #[test]
    fn any_upcalls_become_valid_traces(
        upcalls in proptest::collection::vec(any_upcall(), 0..8), seed: u64, unix_ns: u64,
    ) {
        let (ports, _) = ports();
        let config = TracerConfig {
            ids: IdGenerator::seeded(seed),
            anchor: TimeAnchor::new(MonotonicNs(unix_ns / 2), unix_ns),
            ..TracerConfig::default()
        };
        let encode = || {
            let (mut tracer, mut batch) = (Tracer::new(config.clone()), SpanBatch::default());
            let traced: Vec<_> = upcalls
                .iter()
                .filter_map(|upcall| tracer.trace(upcall, &ports, &mut batch))
                .collect();
            (traced, batch.take())
        };
        let (traced, encoded) = encode();
        prop_assert_eq!(&(traced.clone(), encoded.clone()), &encode(), "a seed reproduces all");
        prop_assert_eq!(traced.len(), upcalls.len());
        prop_assert_eq!(traced.iter().map(|one| one.spans).sum::<usize>(), encoded.spans);

        let request = request(&encoded);
        prop_assert_eq!(spans(&request).len(), encoded.spans);
        let mut rest = spans(&request);
        for (upcall, one) in upcalls.iter().zip(&traced) {
            let (own, others) = rest.split_at(one.spans);
            prop_assert_eq!(&own[0].trace_id, &one.trace_id.to_bytes());
            check_trace(upcall, own)?;
            rest = others;
        }
    }
}
