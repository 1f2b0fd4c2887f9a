//! Packets of a real Open vSwitch, from the recordings in tests/fixtures.

use std::collections::BTreeSet;
use std::io::Cursor;

use super::*;
use crate::event::EventBody;
use crate::source::Record;
use crate::source::recording::{Options, Recording};

/// The contexts of all packets in a recording, and how many packets there are with a
/// `traceparent` of whatever kind.
fn contexts(bytes: &'static [u8]) -> (Vec<PacketContext>, usize) {
    let mut recording = Recording::from_reader(Cursor::new(bytes), Options::default()).unwrap();
    let (mut contexts, mut mentions) = (Vec::new(), 0);
    while let Some(record) = recording.next().unwrap() {
        let Record::Event(event) = record else { continue };
        match event.body {
            EventBody::DpUpcall { packet, .. }
            | EventBody::RecvUpcall { packet, .. }
            | EventBody::FlowExecute { packet } => {
                contexts.extend(PacketContext::of(&packet));
                mentions += usize::from(packet.bytes.windows(11).any(|at| at == b"traceparent"));
            }
            EventBody::FlowPut | EventBody::PacketExecute => {}
        }
    }
    (contexts, mentions)
}

fn trace_ids(contexts: &[PacketContext]) -> BTreeSet<String> {
    contexts.iter().map(|context| context.span_context().trace_id().to_string()).collect()
}

#[test]
fn requests_have_one_and_text_in_udp_has_none() {
    let (contexts, mentions) =
        contexts(include_bytes!("../../../../../tests/fixtures/small-335.events.zst"));
    assert_eq!((contexts.len(), mentions), (6, 39), "3 requests, each received and executed");
    let expected = [0, 2, 4].map(|number| format!("0af7651916cd43dd8448eb211c00000{number}"));
    assert_eq!(trace_ids(&contexts), expected.into_iter().collect());
    for context in &contexts {
        assert_eq!(context.method(), ContextMethod::Traceparent);
        assert_eq!(context.sampled(), Some(true));
        assert_eq!(context.span_context().trace_state().header(), "ovs=feas");
    }
}

#[test]
fn a_request_comes_up_more_than_once() {
    let (contexts, mentions) =
        contexts(include_bytes!("../../../../../tests/fixtures/mix-4319.events.zst"));
    assert_eq!((contexts.len(), mentions), (15, 516));
    assert_eq!(trace_ids(&contexts).len(), 3);
}
