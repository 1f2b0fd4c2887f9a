//! What `GetUpcalls`, `GetStatistics` and `ServerStatus` give.

use tokio::task::JoinSet;
use tonic::Code;
use upspan_proto::v1;
use upspan_proto::v1::{
    Completeness, FlowPrefix, GetStatisticsRequest, MatchMethod, ServerStatusRequest, UpcallFilter,
};

use super::*;

const ALL: &str = "small-335";

fn with(filter: UpcallFilter) -> GetUpcallsRequest {
    GetUpcallsRequest { filter: Some(filter), ..GetUpcallsRequest::default() }
}

fn sequences(upcalls: &[Upcall]) -> Vec<u64> {
    upcalls.iter().map(|upcall| upcall.sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_happened_is_kept() {
    let served = Served::of(ALL).await;
    let kept = upcalls(&mut served.client().await, GetUpcallsRequest::default()).await;
    let truth = fixtures::sets(&fixtures::json(&format!("{ALL}.truth")));
    let ordinals = |upcall: &Upcall| {
        let ordinal = |event: &v1::Event| {
            let kind = event.kind().as_str_name().strip_prefix("EVENT_KIND_").unwrap();
            (kind.to_lowercase(), event.ordinal)
        };
        upcall.events.iter().map(ordinal).collect::<fixtures::Set>()
    };
    let mut sets: Vec<_> = kept.iter().map(ordinals).collect();
    sets.sort_by_key(|set| set["recv_upcall"]);
    assert_eq!(sets, truth);
    assert_eq!(sequences(&kept), (0..truth.len() as u64).collect::<Vec<_>>());
    assert!(kept.iter().all(|upcall| upcall.trace_id.len() == 16));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_and_those_of_a_time() {
    let served = Served::of(ALL).await;
    let client = &mut served.client().await;
    let kept = upcalls(client, GetUpcallsRequest::default()).await;

    let last = |last| GetUpcallsRequest { last: Some(last), ..GetUpcallsRequest::default() };
    assert_eq!(upcalls(client, last(3)).await, kept[kept.len() - 3..]);
    assert!(upcalls(client, last(0)).await.is_empty());
    assert_eq!(upcalls(client, last(u64::MAX)).await, kept);

    let (since, until) = (kept[20].start_unix_ns, kept[40].start_unix_ns);
    let (since, until) = (since.min(until), since.max(until));
    let request = GetUpcallsRequest {
        since_unix_ns: Some(since),
        until_unix_ns: Some(until),
        ..GetUpcallsRequest::default()
    };
    let within = |upcall: &&Upcall| (since..=until).contains(&upcall.start_unix_ns);
    let expected: Vec<_> = kept.iter().filter(within).cloned().collect();
    assert!(expected.len() > 1 && expected.len() < kept.len());
    assert_eq!(upcalls(client, request.clone()).await, expected);
    let request = GetUpcallsRequest { last: Some(1), ..request };
    assert_eq!(upcalls(client, request).await, expected[expected.len() - 1..]);
    // Such an `until` has long passed: the stream ends although it follows.
    let follow = GetUpcallsRequest {
        follow: true,
        since_unix_ns: Some(0),
        until_unix_ns: Some(until),
        ..GetUpcallsRequest::default()
    };
    assert!(!upcalls(client, follow).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn filters() {
    let served = Served::of(ALL).await;
    let client = &mut served.client().await;
    let kept = upcalls(client, GetUpcallsRequest::default()).await;
    let first = kept[0].clone();
    type Passes = Box<dyn Fn(&Upcall) -> bool>;
    let port = first.port_name.clone();
    let packet = |upcall: &Upcall| upcall.packet.clone().unwrap();
    let source =
        packet(kept.iter().find(|upcall| !packet(upcall).source.is_empty()).unwrap()).source;
    let flow = FlowPrefix { source: source.clone(), ..FlowPrefix::default() };
    let tcp = FlowPrefix { protocol: "tcp".to_owned(), ..FlowPrefix::default() };
    let cases: Vec<(UpcallFilter, Passes)> = vec![
        (UpcallFilter { ports: vec![port.clone()], ..Default::default() }, {
            Box::new(move |upcall| upcall.port_name == port)
        }),
        (
            UpcallFilter { datapaths: vec!["system@ovs-system".to_owned()], ..Default::default() },
            Box::new(|_| true),
        ),
        (
            UpcallFilter { datapaths: vec!["other".to_owned()], ..Default::default() },
            Box::new(|_| false),
        ),
        (
            UpcallFilter { min_duration_ns: 5_000_000, ..Default::default() },
            Box::new(|upcall| upcall.duration_ns >= 5_000_000),
        ),
        (
            UpcallFilter { completeness: Completeness::Incomplete.into(), ..Default::default() },
            Box::new(|upcall| !upcall.missing.is_empty()),
        ),
        (
            UpcallFilter { match_methods: vec![MatchMethod::Vlan.into()], ..Default::default() },
            Box::new(|upcall| upcall.match_method() == MatchMethod::Vlan),
        ),
        (UpcallFilter { trace_ids: vec![first.trace_id.clone()], ..Default::default() }, {
            let id = first.trace_id.clone();
            Box::new(move |upcall| upcall.trace_id == id)
        }),
        (
            UpcallFilter { flows: vec![flow], ..Default::default() },
            Box::new(move |upcall| packet(upcall).source == source),
        ),
        (
            UpcallFilter { flows: vec![tcp], ..Default::default() },
            Box::new(move |upcall| packet(upcall).protocol == "tcp"),
        ),
        (UpcallFilter { threads: vec![first.thread_name.clone()], ..Default::default() }, {
            let thread = first.thread_name.clone();
            Box::new(move |upcall| upcall.thread_name == thread)
        }),
    ];
    for (filter, passes) in cases {
        let expected: Vec<_> = kept.iter().filter(|upcall| passes(upcall)).cloned().collect();
        assert_eq!(upcalls(client, with(filter.clone())).await, expected, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused() {
    let served = Served::of("tiny-56").await;
    let client = &mut served.client().await;
    let flow = FlowPrefix { source: "10.0.0.0/40".to_owned(), ..FlowPrefix::default() };
    let filter = |filter| GetUpcallsRequest { filter: Some(filter), ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["payload".to_owned()] };
    let wrong = [
        filter(UpcallFilter { completeness: 99, ..Default::default() }),
        filter(UpcallFilter { match_methods: vec![-1], ..Default::default() }),
        filter(UpcallFilter { match_methods: vec![0], ..Default::default() }),
        filter(UpcallFilter { trace_ids: vec![vec![1; 15]], ..Default::default() }),
        filter(UpcallFilter { flows: vec![flow], ..Default::default() }),
        GetUpcallsRequest { field_mask: Some(mask), ..Default::default() },
    ];
    for request in wrong {
        let status = client.get_upcalls(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    let huge = UpcallFilter { ports: vec!["x".repeat(1 << 20)], ..Default::default() };
    assert_eq!(client.get_upcalls(filter(huge)).await.unwrap_err().code(), Code::OutOfRange);
    assert!(!upcalls(client, GetUpcallsRequest::default()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_see_what_comes() {
    let (served, recorder) = Served::new(16_384);
    let mut following = JoinSet::new();
    for _ in 0..32 {
        let mut client = served.client().await;
        let follow = GetUpcallsRequest { follow: true, ..GetUpcallsRequest::default() };
        let mut stream = client.get_upcalls(follow).await.unwrap().into_inner();
        following.spawn(async move {
            let mut count = 0;
            while let Some(response) = stream.message().await.unwrap() {
                assert!(matches!(response.response, Some(Response::Upcall(_))));
                count += 1;
            }
            count
        });
    }
    let status = served.client().await.server_status(ServerStatusRequest {}).await.unwrap();
    assert_eq!(status.into_inner().streams, 32);
    // The streams end with the recorder.
    let fed = feed(recorder, ALL, 1).await;
    let counts = timeout(PATIENCE, following.join_all()).await.unwrap();
    assert_eq!(counts, vec![fed; 32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_agree_with_the_upcalls() {
    let served = Served::of("mix-4319").await;
    let client = &mut served.client().await;
    let kept = upcalls(client, GetUpcallsRequest::default()).await;
    let request = GetStatisticsRequest { top: 2, slowest: 3, ..Default::default() };
    let statistics = client.get_statistics(request).await.unwrap().into_inner();
    let count = |passes: fn(&Upcall) -> bool| kept.iter().filter(|u| passes(u)).count() as u64;
    assert_eq!(statistics.upcalls, kept.len() as u64);
    assert_eq!(statistics.incomplete, count(|upcall| !upcall.missing.is_empty()));
    let duration = statistics.duration.unwrap();
    let mut durations: Vec<_> = kept.iter().map(|upcall| upcall.duration_ns as i64).collect();
    durations.sort_unstable();
    assert_eq!((duration.min, duration.max), (durations[0], durations[durations.len() - 1]));
    assert_eq!(statistics.ports.len(), 2);
    assert!(statistics.ports[0].upcalls >= statistics.ports[1].upcalls);
    let slowest: Vec<_> = statistics.slowest.iter().map(|u| u.duration_ns as i64).collect();
    let expected: Vec<_> = durations.iter().rev().take(3).copied().collect();
    assert_eq!(slowest, expected);

    // The last second of the recording.
    let latest = kept.iter().map(|upcall| upcall.start_unix_ns).max().unwrap();
    let window_ns = 1_000_000_000;
    let request = GetStatisticsRequest { window_ns, ..Default::default() };
    let statistics = client.get_statistics(request).await.unwrap().into_inner();
    let within = kept.iter().filter(|upcall| upcall.start_unix_ns >= latest - window_ns).count();
    assert_eq!(statistics.upcalls, within as u64);
    assert_eq!(statistics.last_unix_ns, latest);

    let status = client.server_status(ServerStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.seen_upcalls, kept.len() as u64);
    let events: u64 = status.events.iter().map(|events| events.count).sum();
    assert_eq!(events, 4_319);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_leaves_out_the_rest() {
    let served = Served::of("tiny-56").await;
    let paths = vec!["duration_ns".to_owned(), "packet.summary".to_owned()];
    let field_mask = Some(prost_types::FieldMask { paths });
    let request = GetUpcallsRequest { field_mask, ..GetUpcallsRequest::default() };
    for upcall in upcalls(&mut served.client().await, request).await {
        let packet = upcall.packet.clone().unwrap();
        assert!(!packet.summary.is_empty() && packet.source.is_empty());
        let rest = Upcall { duration_ns: 0, packet: None, ..upcall };
        assert_eq!(rest, Upcall::default());
    }
}
