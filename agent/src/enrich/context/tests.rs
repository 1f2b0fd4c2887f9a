//! Whole packets.

mod captured;
mod http1;
mod http2;
mod made;
mod tunnels;

use proptest::prelude::*;

use self::made::{TRACE, ethernet, tcp, traceparent};
use super::*;

fn find(bytes: &[u8]) -> Option<PacketContext> {
    PacketContext::of(&Packet { len: u32::try_from(bytes.len()).unwrap(), bytes })
}

/// Trace id and method of the context that a packet with this TCP payload carries.
fn payload(payload: &[u8]) -> Option<(u128, ContextMethod)> {
    let context = find(&ethernet(&tcp(&[], payload)))?;
    let trace_id = u128::from_be_bytes(context.span_context().trace_id().to_bytes());
    Some((trace_id, context.method()))
}

/// The option of OpenTelemetry's eBPF instrumentation.
fn option() -> Vec<u8> {
    [&[25, 26][..], &[7; 24], &[1, 1]].concat()
}

fn request() -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", traceparent(TRACE)).into_bytes()
}

#[test]
fn a_header_is_preferred_to_the_option() {
    let context = find(&ethernet(&tcp(&option(), &request()))).unwrap();
    assert_eq!(context.method(), ContextMethod::Traceparent);
    assert_eq!(context.sampled(), Some(true));
    let context = find(&ethernet(&tcp(&option(), b"GET / HTTP/1.1\r\n\r\n"))).unwrap();
    assert_eq!(context.method(), ContextMethod::TcpOption);
    assert_eq!(context.span_context().trace_id().to_bytes(), [7; 16]);
    assert_eq!(find(&ethernet(&tcp(&option(), b""))), Some(context));
}

#[test]
fn a_tcp_header_of_no_length_is_none() {
    let mut packet = ethernet(&tcp(&[], &request()));
    assert!(find(&packet).is_some());
    packet[14 + 20 + 12] = 4 << 4;
    assert_eq!(find(&packet), None);
}

#[test]
fn only_tcp_carries_http() {
    let mut packet = ethernet(&tcp(&[], &request()));
    packet[14 + 9] = 17;
    assert_eq!(find(&packet), None);
}

#[test]
fn only_the_first_fragment_has_a_beginning() {
    let mut packet = ethernet(&tcp(&[], &request()));
    packet[14 + 6] = 0x20;
    assert!(find(&packet).is_some());
    packet[14 + 7] = 1;
    assert_eq!(find(&packet), None);
}

#[test]
fn padding_of_a_short_frame_is_no_payload() {
    let mut packet = ethernet(&tcp(&[], b""));
    packet.extend(request());
    assert_eq!(find(&packet), None);
}

#[test]
fn methods_have_names_of_their_own() {
    let names = ContextMethod::ALL.map(ContextMethod::name);
    assert_eq!(names, ["traceparent", "b3", "tcp_option"]);
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        find(&bytes);
    }

    #[test]
    fn any_payload_is_read(
        start in prop::sample::select(vec![&b""[..], b"GET / HTTP/1.1\r\n", http2::PREFACE]),
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        payload(&[start, &rest].concat());
    }

    /// Whatever is changed or cut, the context is the one that was sent, or one that the changed
    /// bytes make, but never from beyond the cut.
    #[test]
    fn tampered_packets_are_read(
        which in 0..made::all().len(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut packet = made::all().swap_remove(which);
        let at = at.index(packet.len());
        packet[at] = byte;
        packet.truncate(cut.index(packet.len() + 1));
        find(&packet);
    }

    #[test]
    fn a_cut_packet_has_its_context_or_none(which in 0..made::all().len(), cut: prop::sample::Index) {
        let packet = made::all().swap_remove(which);
        let whole = find(&packet).expect("a context").span_context().clone();
        if let Some(cut) = find(&packet[..cut.index(packet.len())]) {
            // Headers after the cut may be missing: the state, or a flag.
            prop_assert_eq!(cut.span_context().trace_id(), whole.trace_id());
            prop_assert_eq!(cut.span_context().span_id(), whole.span_id());
        }
    }
}
