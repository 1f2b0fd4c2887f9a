//! Upcalls of packets that carry a trace context.

use super::*;

/// A request that came in by `p1`, from tests/fixtures/small-335, its headers to be filled in.
const HEADERS: &[u8] = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0\x45\0\0\xff\x23\x0d\x40\0\x40\x06\
    \x03\x0c\x0a\0\0\x01\x0a\0\0\x02\xb7\x5a\x1f\x90\x02\x60\xea\x96\x3f\xce\x8a\x3f\x80\x18\x01\
    \xf6\x3f\xb2\0\0\x01\x01\x08\x0a\xbe\x94\x3f\x1e\xba\xea\xc1\x29GET /feas/0 HTTP/1.1\r\n";
const SAMPLED: &str = "traceparent: 00-0af7651916cd43dd8448eb211c000000-b7ad6b7169200000-01\r\n\
                       tracestate: ovs=feas,b=2\r\n";
const RANDOM: &str = "traceparent: 00-0af7651916cd43dd8448eb211c000000-b7ad6b7169200000-03\r\n";
const NOT_SAMPLED: &str =
    "traceparent: 00-0af7651916cd43dd8448eb211c000000-b7ad6b7169200000-00\r\n";
const DEFERRED: &str = "b3: 0af7651916cd43dd8448eb211c000000-b7ad6b7169200000\r\n";

fn upcall(headers: &str) -> Upcall<'static> {
    let bytes: &[u8] = [HEADERS, headers.as_bytes(), b"\r\n"].concat().leak();
    Upcall { packet: Packet { len: bytes.len() as u32, bytes }, ..complete() }
}

fn tracer(context: ContextMode, sampler: Sampler) -> Tracer {
    Tracer { context, sampler, ..seeded() }
}

fn traced(headers: &str, context: ContextMode, sampler: Sampler) -> Vec<Span> {
    let mut batch = SpanBatch::default();
    let traced = tracer(context, sampler).trace(&upcall(headers), &ports().0, &mut batch);
    let request = request(&batch.take());
    if traced.is_none() {
        return Vec::new();
    }
    spans(&request).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Its ids, flags, state, links and what it says of the correlation.
fn shown(spans: &[Span]) -> String {
    let mut text = String::new();
    for span in spans {
        let Span { name, trace_id, span_id, parent_span_id, flags, trace_state, .. } = span;
        let parent = if parent_span_id.is_empty() { "none".into() } else { hex(parent_span_id) };
        let (trace, id) = (hex(trace_id), hex(span_id));
        text += &format!("{name}: {trace} {id} of {parent} {flags:#x} {trace_state:?}");
        for link in &span.links {
            let ids = [&link.trace_id, &link.span_id].map(|id| hex(id)).join(" ");
            text += &format!(" link: {ids} {:#x} {:?}", link.flags, link.trace_state);
        }
        if let Some(Value::StringValue(method)) = value(&span.attributes, "ovs.correlation.method")
        {
            text += &format!(" by {method}");
        }
        text += "\n";
    }
    text
}

#[test]
fn an_upcall_is_a_child_of_the_span_that_its_packet_was_sent_for() {
    let spans = traced(SAMPLED, ContextMode::Parent, Sampler::default());
    insta::assert_snapshot!(shown(&spans), @r#"
    upcall: 0af7651916cd43dd8448eb211c000000 d0764d4f4476689f of b7ad6b7169200000 0x301 "ovs=feas,b=2" by traceparent
    kernel_to_vswitchd: 0af7651916cd43dd8448eb211c000000 519e4174576f3791 of d0764d4f4476689f 0x101 "ovs=feas,b=2"
    lookup: 0af7651916cd43dd8448eb211c000000 fbe07cfb0c24ed8c of d0764d4f4476689f 0x101 "ovs=feas,b=2"
    translate: 0af7651916cd43dd8448eb211c000000 b37d9f600cd835b8 of fbe07cfb0c24ed8c 0x101 "ovs=feas,b=2"
    batch_wait: 0af7651916cd43dd8448eb211c000000 cb231c3874846a73 of fbe07cfb0c24ed8c 0x101 "ovs=feas,b=2"
    execute_to_kernel: 0af7651916cd43dd8448eb211c000000 968d9f004e50de7d of d0764d4f4476689f 0x101 "ovs=feas,b=2"
    "#);
}

#[test]
fn the_whole_trace_with_a_remote_parent() {
    insta::assert_snapshot!(snapshot(&upcall(SAMPLED)));
}

#[test]
fn a_link_leaves_the_upcall_a_trace_of_its_own() {
    let spans = traced(SAMPLED, ContextMode::Link, Sampler::default());
    insta::assert_snapshot!(shown(&spans), @r#"
    upcall: 519e4174576f3791d0764d4f4476689f fbe07cfb0c24ed8c of none 0x103 "" link: 0af7651916cd43dd8448eb211c000000 b7ad6b7169200000 0x301 "ovs=feas,b=2" by traceparent
    kernel_to_vswitchd: 519e4174576f3791d0764d4f4476689f b37d9f600cd835b8 of fbe07cfb0c24ed8c 0x103 ""
    lookup: 519e4174576f3791d0764d4f4476689f cb231c3874846a73 of fbe07cfb0c24ed8c 0x103 ""
    translate: 519e4174576f3791d0764d4f4476689f 968d9f004e50de7d of cb231c3874846a73 0x103 ""
    batch_wait: 519e4174576f3791d0764d4f4476689f 201718ff221a3556 of cb231c3874846a73 0x103 ""
    execute_to_kernel: 519e4174576f3791d0764d4f4476689f 9ae94e070ed8cb46 of fbe07cfb0c24ed8c 0x103 ""
    "#);
    let spans = traced(NOT_SAMPLED, ContextMode::Link, Sampler::default());
    assert_eq!(spans[0].links[0].flags, 0x300, "it is sampled by itself");
}

#[test]
fn a_context_that_is_off_changes_nothing() {
    let (with, without) = (SAMPLED, "");
    let off = shown(&traced(with, ContextMode::Off, Sampler::default()));
    for mode in [ContextMode::Parent, ContextMode::Link, ContextMode::Off] {
        assert_eq!(shown(&traced(without, mode, Sampler::default())), off);
    }
    assert!(!off.contains("link") && !off.contains("by "));
}

#[test]
fn the_flag_that_ids_are_random_is_the_senders() {
    let flags = |headers| {
        let spans = traced(headers, ContextMode::Parent, Sampler::default());
        (spans[0].flags, spans[1].flags)
    };
    assert_eq!(flags(SAMPLED), (0x301, 0x101));
    assert_eq!(flags(RANDOM), (0x303, 0x103));
}

#[test]
fn a_parent_based_sampler_does_as_the_sender() {
    let is_traced = |headers, mode, sampler| !traced(headers, mode, sampler).is_empty();
    let (on, off) = (RatioSampler::ALWAYS_ON, RatioSampler::ALWAYS_OFF);
    let parent = |headers, sampler| is_traced(headers, ContextMode::Parent, sampler);
    for root in [on, off] {
        assert!(parent(SAMPLED, Sampler::parent_based(root)));
        assert!(!parent(NOT_SAMPLED, Sampler::parent_based(root)));
    }
    for headers in [SAMPLED, NOT_SAMPLED, DEFERRED, ""] {
        assert!(parent(headers, Sampler::by_id(on)));
        assert!(!parent(headers, Sampler::by_id(off)));
        for mode in [ContextMode::Link, ContextMode::Off] {
            assert!(is_traced(headers, mode, Sampler::parent_based(on)));
            assert!(!is_traced(headers, mode, Sampler::parent_based(off)));
        }
    }
    assert!(parent(DEFERRED, Sampler::parent_based(on)));
    assert!(!parent(DEFERRED, Sampler::parent_based(off)));
}

#[test]
fn upcalls_of_one_request_are_siblings() {
    let (mut tracer, mut batch) = (seeded(), SpanBatch::default());
    for _ in 0..2 {
        tracer.trace(&upcall(SAMPLED), &ports().0, &mut batch).expect("sampled");
    }
    assert_eq!(batch.traces(), 2, "one for each upcall");
    let request = request(&batch.take());
    let roots = spans(&request).iter().filter(|span| span.name == "upcall");
    let parents: Vec<_> = roots.map(|root| (&root.trace_id, &root.parent_span_id)).collect();
    assert_eq!(parents.len(), 2);
    assert_eq!(parents[0], parents[1]);
    let ids: HashSet<_> = spans(&request).iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans(&request).len());
}

#[test]
fn an_upcall_that_was_not_delivered_has_its_parent_too() {
    let upcall = upcall(SAMPLED);
    let failed = FailedUpcall {
        upcall_type: UpcallType::Miss,
        datapath: upcall.datapath,
        port: PortNo(2),
        head: upcall.recv,
        packet: upcall.packet,
        returned: upcall.recv.ts,
        errno: 105,
    };
    for (mode, flags, links) in [(ContextMode::Parent, 0x301, 0), (ContextMode::Link, 0x103, 1)] {
        let mut batch = SpanBatch::default();
        let mut tracer = tracer(mode, Sampler::default());
        tracer.trace_failed(&failed, &ports().0, &mut batch).expect("sampled");
        let request = request(&batch.take());
        let [span] = spans(&request) else { panic!("one span") };
        assert_eq!((span.flags, span.links.len()), (flags, links));
        let method = value(&span.attributes, "ovs.correlation.method");
        assert_eq!(method, Some(&Value::StringValue("traceparent".to_owned())));
    }
}
