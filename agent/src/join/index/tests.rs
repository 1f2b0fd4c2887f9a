use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::join::connection::{Connection, Endpoint, Socket, Transport};
use crate::join::span::TimeRange;

const MS: u64 = 1_000_000;

fn socket(host: u8, port: u16) -> Socket {
    Socket { address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port }
}

fn between(source: Socket, destination: Socket) -> Connection {
    Connection { transport: Transport::Tcp, source, destination }
}

fn at(start: u64, end: u64) -> TimeRange {
    TimeRange { start, end }
}

/// A span with this number as its id; the trace has the same.
fn span(id: u8, side: Side, time: TimeRange) -> AppSpan {
    AppSpan {
        trace_id: TraceId::from_bytes([id; 16]),
        span_id: SpanId::from_bytes([id; 8]),
        parent: SpanId::INVALID,
        time,
        side,
        transport: Transport::Tcp,
        client: Endpoint::default(),
        server: Endpoint::default(),
    }
}

fn index(spans: &[AppSpan]) -> SpanIndex {
    let mut index = SpanIndex::new(1 << 20);
    for &span in spans {
        index.insert(span, span.time.end);
    }
    index
}

/// A span by its number, and how certain it is.
type Short = Option<(u8, Confidence)>;

fn found(spans: &[AppSpan], connection: Connection, time: TimeRange) -> (Short, Short) {
    let found = index(spans).find(&connection, time, 5);
    let short = |one: Match| (one.span_id.to_bytes()[0], one.confidence);
    (found.client.map(short), found.server.map(short))
}

const CLIENT: u8 = 1;
const SERVER: u8 = 2;

/// The spans of a request as both sides report it: the client knows the server, and the server the
/// client.
fn request() -> [AppSpan; 2] {
    let mut client = span(CLIENT, Side::Client, at(100, 200));
    client.server = socket(2, 80).into();
    let mut server = span(SERVER, Side::Server, at(150, 180));
    server.trace_id = client.trace_id;
    server.parent = client.span_id;
    server.client = socket(1, 40_000).into();
    server.server = socket(2, 80).into();
    [client, server]
}

#[test]
fn both_sides_are_found_whichever_way_the_packet_goes() {
    let there = between(socket(1, 40_000), socket(2, 80));
    for connection in [there, there.reversed()] {
        let both = (Some((CLIENT, Confidence::Exact)), Some((SERVER, Confidence::Exact)));
        assert_eq!(found(&request(), connection, at(160, 161)), both);
    }
}

#[test]
fn the_first_packet_belongs_to_the_clients_span_alone() {
    let there = between(socket(1, 40_000), socket(2, 80));
    let expected = (Some((CLIENT, Confidence::Exact)), None);
    assert_eq!(found(&request(), there, at(110, 120)), expected);
}

#[test]
fn confidence_follows_from_what_agrees() {
    let there = between(socket(1, 40_000), socket(2, 80));
    let [_, server] = request();
    let port_only = Endpoint { address: None, port: Some(80) };
    let cases = [
        (server.server, Confidence::Exact),
        (port_only, Confidence::High),
        (Endpoint::default(), Confidence::Medium),
    ];
    for (known, confidence) in cases {
        let server = AppSpan { server: known, ..server };
        assert_eq!(found(&[server], there, at(160, 161)).1, Some((SERVER, confidence)));
    }
    let [client, _] = request();
    let one = |client| found(&[client], there, at(160, 161)).0;
    assert_eq!(one(client), Some((CLIENT, Confidence::Low)));
    let mut from_pod = client;
    from_pod.client.address = Some(socket(1, 1).address);
    assert_eq!(one(from_pod), Some((CLIENT, Confidence::Medium)));
    from_pod.client.address = Some(socket(9, 1).address);
    assert_eq!(one(from_pod), None);
}

#[test]
fn clocks_may_differ_a_little() {
    let there = between(socket(1, 40_000), socket(2, 80));
    assert_eq!(found(&request(), there, at(90, 96)).0, Some((CLIENT, Confidence::High)));
    assert_eq!(found(&request(), there, at(90, 94)), (None, None));
    assert_eq!(found(&request(), there, at(205, 210)).0, Some((CLIENT, Confidence::High)));
    assert_eq!(found(&request(), there, at(206, 210)), (None, None));
}

#[test]
fn another_server_protocol_or_client_is_another_connection() {
    for other in [
        between(socket(1, 40_000), socket(2, 81)),
        between(socket(1, 40_000), socket(3, 80)),
        between(socket(1, 40_001), socket(2, 80)),
        between(socket(3, 40_000), socket(2, 80)),
        Connection { transport: Transport::Udp, ..between(socket(1, 40_000), socket(2, 80)) },
    ] {
        assert_eq!(found(&request(), other, at(160, 161)), (None, None), "{other:?}");
    }
}

#[test]
fn a_connection_that_is_known_is_not_guessed_at() {
    // The client's span of another request is open, and knows the server alone.
    let mut other = span(7, Side::Client, at(100, 900));
    other.server = socket(2, 80).into();
    let spans = [request()[0], request()[1], other];
    let there = between(socket(1, 40_000), socket(2, 80));
    assert_eq!(found(&spans, there, at(500, 501)), (None, None));
    assert_eq!(found(&spans, there, at(110, 111)).0, Some((CLIENT, Confidence::Exact)));
    let unknown = between(socket(1, 40_001), socket(2, 80));
    assert_eq!(found(&spans, unknown, at(110, 111)).0, Some((7, Confidence::Low)));
}

#[test]
fn of_requests_that_share_a_connection_none_is_chosen() {
    let [client, server] = request();
    let mut other = [client, server];
    for span in &mut other {
        span.trace_id = TraceId::from_bytes([9; 16]);
    }
    let there = between(socket(1, 40_000), socket(2, 80));
    let index = index(&[client, server, other[0], other[1]]);
    let found = index.find(&there, at(160, 161), 0);
    assert_eq!(found, Found { is_ambiguous: true, ..Found::default() });
}

#[test]
fn of_spans_in_each_other_the_inner_one_is_chosen() {
    let [outer, server] = request();
    let mut inner = span(8, Side::Client, at(105, 195));
    inner.trace_id = outer.trace_id;
    inner.parent = outer.span_id;
    inner.server = outer.server;
    let there = between(socket(1, 40_000), socket(2, 80));
    assert_eq!(found(&[outer, inner], there, at(160, 161)).0, Some((8, Confidence::Low)));
    let server = AppSpan { parent: inner.span_id, ..server };
    assert_eq!(
        found(&[outer, inner, server], there, at(160, 161)),
        (Some((8, Confidence::Exact)), Some((SERVER, Confidence::Exact)))
    );
}

#[test]
fn translated_addresses_are_seen_through() {
    // The client knows the service, 10.0.0.100:80, and the server its pod, 10.0.0.2:8080.
    let [mut client, mut server] = request();
    client.server = socket(100, 80).into();
    server.server = socket(2, 8080).into();
    let before = between(socket(1, 40_000), socket(100, 80));
    let after = between(socket(1, 40_000), socket(2, 8080));
    assert_eq!(
        found(&[client, server], before, at(160, 161)),
        (Some((CLIENT, Confidence::Medium)), Some((SERVER, Confidence::Medium)))
    );
    assert_eq!(
        found(&[client, server], after, at(160, 161)),
        (Some((CLIENT, Confidence::Medium)), Some((SERVER, Confidence::Exact)))
    );
}

#[test]
fn a_clients_port_may_lead_to_several_servers() {
    // Both servers know the client alone, and both clients' spans the server alone.
    let mut spans = [request(), request()];
    for (number, pair) in spans.iter_mut().enumerate() {
        let id = number as u8 + 10;
        pair[0].span_id = SpanId::from_bytes([id; 8]);
        pair[0].server = socket(id, 80).into();
        pair[1].span_id = SpanId::from_bytes([id + 10; 8]);
        pair[1].parent = pair[0].span_id;
        pair[1].server = Endpoint::default();
    }
    for id in [10, 11] {
        let there = between(socket(1, 40_000), socket(id, 80));
        assert_eq!(
            found(spans.as_flattened(), there, at(160, 161)),
            (Some((id, Confidence::Exact)), Some((id + 10, Confidence::Exact)))
        );
    }
    let elsewhere = between(socket(1, 40_000), socket(12, 80));
    assert_eq!(found(spans.as_flattened(), elsewhere, at(160, 161)), (None, None));
}

#[test]
fn what_is_sent_twice_is_there_once() {
    let spans = [request()[0], request()[1], request()[0], request()[1]];
    let index = index(&spans);
    assert_eq!(index.len(), 2);
    assert_eq!(index.counts(), IndexCounts { indexed: 2, duplicates: 2, evicted: 0 });
}

#[test]
fn what_ended_first_gives_way_and_the_future_is_not_believed() {
    let mut index = SpanIndex::new(0);
    index.insert(span(1, Side::Client, at(1, u64::MAX)), 10);
    index.insert(span(2, Side::Client, at(1, 11)), 11);
    index.insert(span(3, Side::Client, at(1, 5)), 12);
    assert_eq!(index.len(), 1);
    let key = |id| (TraceId::from_bytes([id; 16]), SpanId::from_bytes([id; 8]));
    let (trace_id, span_id) = key(2);
    assert!(index.by_id(trace_id, span_id).is_some());
    assert_eq!(index.counts(), IndexCounts { indexed: 2, duplicates: 0, evicted: 2 });
    index.expire(12);
    assert!(index.is_empty());
}

#[test]
fn memory_is_what_was_asked_for() {
    for bytes in [1 << 16, 1 << 20, 5_000_000, 64 << 20] {
        let index = SpanIndex::new(bytes);
        assert!(index.bytes() <= bytes, "{} > {bytes}", index.bytes());
        assert!(index.bytes() >= bytes / 2, "{} of {bytes}", index.bytes());
    }
}

/// Requests of clients that each have a port of their own, some of them at the same time.
fn requests() -> impl Strategy<Value = Vec<(u16, u64, u64)>> {
    let request = (0_u16..30, 0_u64..200, 1_u64..20)
        .prop_map(|(connection, start, len)| (connection, start * MS, (start + len) * MS));
    proptest::collection::vec(request, 1..60).prop_map(|mut requests| {
        // Spans come when they have ended.
        requests.sort_by_key(|&(_, _, end)| end);
        requests
    })
}

proptest! {
    /// Whatever is found is a span of this connection that was open; and where one was open alone,
    /// it is found.
    #[test]
    fn links_are_right_and_none_is_missing(
        requests in requests(), connection in 0_u16..32, when in 0_u64..220, reverse: bool,
        knows_local: bool,
    ) {
        let mut index = SpanIndex::new(1 << 20);
        for (id, &(connection, start, end)) in requests.iter().enumerate() {
            let id = id as u8 + 1;
            let mut client = span(id, Side::Client, at(start, end));
            client.server = socket(2, 80).into();
            if knows_local {
                client.client = socket(1, 1000 + connection).into();
            }
            let mut server = span(id, Side::Server, at(start + 1000, end - 1000));
            server.span_id = SpanId::from_bytes([id, 0, 0, 0, 0, 0, 0, 0]);
            server.parent = client.span_id;
            server.client = socket(1, 1000 + connection).into();
            index.insert(server, end);
            index.insert(client, end);
        }
        let there = between(socket(1, 1000 + connection), socket(2, 80));
        let there = if reverse { there.reversed() } else { there };
        let when = when * MS + MS / 2;
        let found = index.find(&there, at(when, when), 0);
        let open: Vec<_> = requests.iter().enumerate()
            .filter(|(_, r)| r.0 == connection && r.1 <= when && when <= r.2)
            .map(|(id, _)| id as u8 + 1)
            .collect();
        for one in found.matches() {
            prop_assert!(open.contains(&one.span_id.to_bytes()[0]));
        }
        prop_assert_eq!(found.matches().count(), if open.len() == 1 { 2 } else { 0 });
        prop_assert_eq!(found.is_ambiguous, open.len() > 1);
    }

    /// Of any spans, the index holds those that ended last, and no more than it may.
    #[test]
    fn the_index_is_bounded_and_consistent(
        ends in proptest::collection::vec((1_u64..1000, 0_u16..3), 1..200), size in 1_usize..20_000,
    ) {
        let mut index = SpanIndex::new(size);
        let bytes = index.bytes();
        for (number, &(end, port)) in ends.iter().enumerate() {
            let mut one = span(1, Side::Server, at(1, end));
            one.span_id = SpanId::from(number as u64 + 1);
            one.parent = SpanId::from_bytes([9; 8]);
            one.client = socket(1, port + 1).into();
            index.insert(one, end);
        }
        let counts = index.counts();
        prop_assert!(index.len() as u64 <= counts.indexed);
        prop_assert_eq!(index.bytes(), bytes);
        let kept = index.len();
        prop_assert_eq!(counts.evicted as usize, ends.len() - kept);
        let mut sorted: Vec<_> = ends.iter().map(|e| e.0).collect();
        sorted.sort_unstable();
        index.expire(sorted[sorted.len() - kept]);
        prop_assert_eq!(index.len(), kept, "only the oldest were to go");
        index.expire(u64::MAX);
        prop_assert!(index.is_empty());
        for port in 0..3 {
            let there = between(socket(1, port + 1), socket(2, 80));
            prop_assert_eq!(index.find(&there, at(1, 1000), 0), Found::default());
        }
    }
}
