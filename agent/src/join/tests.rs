use std::net::{IpAddr, Ipv4Addr};

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
use prost::Message as _;

use super::*;

const NOW: u64 = 1_700_000_000_000_000_000;

fn socket(host: u8, port: u16) -> Socket {
    Socket { address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port }
}

fn connection(port: u16) -> Connection {
    let (source, destination) = (socket(1, port), socket(2, 80));
    Connection { transport: Transport::Tcp, source, destination }
}

/// The trace of an upcall at that time, with this number as its id.
fn trace(id: u8, time: u64) -> Vec<u8> {
    let root = Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        start_time_unix_nano: time,
        end_time_unix_nano: time + 1,
        ..Span::default()
    };
    ScopeSpans { spans: vec![root], ..ScopeSpans::default() }.encode_to_vec()
}

fn span(id: u8, side: Side, port: u16) -> AppSpan {
    AppSpan {
        trace_id: TraceId::from_bytes([id; 16]),
        span_id: SpanId::from_bytes([id; 8]),
        parent: SpanId::INVALID,
        time: TimeRange { start: NOW, end: NOW + 1_000_000 },
        side,
        transport: Transport::Tcp,
        client: socket(1, port).into(),
        server: socket(2, 80).into(),
    }
}

fn index(spans: &[AppSpan]) -> SharedIndex {
    let index = SharedIndex::new(1 << 20, Duration::from_secs(u64::from(u32::MAX)));
    index.insert(spans);
    index
}

/// What came out: the upcall, its links, and the spans that get a child, by their ids.
type Out = Vec<(u8, Vec<u8>, Vec<u8>)>;

fn collect(out: &mut Out) -> impl FnMut(&Joined<'_>) {
    let ids = |links: &[SpanLink]| links.iter().map(|link| link.trace_id.to_bytes()[0]).collect();
    move |joined| {
        out.push((joined.root.trace_id.to_bytes()[0], ids(&joined.links), ids(&joined.parents)));
    }
}

#[test]
fn an_upcall_waits_for_spans_that_come_later() {
    let index = index(&[]);
    let mut joiner = Joiner::new(JoinConfig::default(), index.clone());
    let (begin, mut out) = (Instant::now(), Out::new());
    let window = JoinConfig::DEFAULT_WINDOW;
    joiner.hold(begin, connection(1000), (&trace(1, NOW), 1), &mut collect(&mut out));
    index.insert(&[span(7, Side::Client, 1000)]);
    joiner.release(begin + window - Duration::from_millis(1), &mut collect(&mut out));
    assert!(out.is_empty());
    joiner.release(begin + window, &mut collect(&mut out));
    assert_eq!(out, [(1, vec![7], vec![])]);
    let expected = JoinTotals { upcalls: 1, linked: 1, ..JoinTotals::default() };
    assert_eq!((joiner.totals(), joiner.waiting()), (expected, 0));
}

#[test]
fn an_applications_trace_gets_one_child_whichever_side_it_is_on() {
    let config = JoinConfig { app_spans: true, ..JoinConfig::default() };
    let mut server = span(7, Side::Server, 1000);
    server.span_id = SpanId::from_bytes([9; 8]);
    for (other_trace, parents) in [(7, vec![7]), (8, vec![7, 8])] {
        server.trace_id = TraceId::from_bytes([other_trace; 16]);
        let index = index(&[span(7, Side::Client, 1000), server]);
        let (mut joiner, mut out) = (Joiner::new(config, index), Out::new());
        joiner.hold(Instant::now(), connection(1000), (&trace(1, NOW), 1), &mut collect(&mut out));
        joiner.release_all(&mut collect(&mut out));
        assert_eq!(out, [(1, vec![7, other_trace], parents)]);
    }
}

#[test]
fn links_of_too_little_confidence_are_not_made() {
    let config = JoinConfig { min_confidence: Confidence::Exact, ..JoinConfig::default() };
    let mut unsure = span(7, Side::Client, 1000);
    unsure.server = Endpoint::default();
    let (mut joiner, mut out) = (Joiner::new(config, index(&[unsure])), Out::new());
    joiner.hold(Instant::now(), connection(1000), (&trace(1, NOW), 1), &mut collect(&mut out));
    joiner.release_all(&mut collect(&mut out));
    assert_eq!(out, [(1, vec![], vec![])]);
}

#[test]
fn without_room_the_oldest_goes_on_early_and_none_is_lost() {
    let one = trace(1, NOW);
    let config = JoinConfig { max_bytes: 2 * one.len(), ..JoinConfig::default() };
    let (mut joiner, mut out) = (Joiner::new(config, index(&[])), Out::new());
    let now = Instant::now();
    for id in 1..=5 {
        joiner.hold(now, connection(1000), (&trace(id, NOW), 1), &mut collect(&mut out));
        assert!(joiner.waiting() <= 2);
    }
    joiner.release_all(&mut collect(&mut out));
    assert_eq!(out.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!((joiner.totals().upcalls, joiner.totals().early), (5, 3));
    // And one that never fits.
    let (config, mut out) = (JoinConfig { max_bytes: 1, ..config }, Out::new());
    let mut joiner = Joiner::new(config, index(&[]));
    joiner.hold(now, connection(1000), (&one, 1), &mut collect(&mut out));
    assert_eq!(out, [(1, vec![], vec![])]);
}
