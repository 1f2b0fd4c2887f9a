//! Upcalls of recordings, and spans as applications on their connections would have sent them.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use upspan::api::client::{ClientOptions, ServerUrl};
use upspan::api::{ListenOptions, Recorder, Server, WhenUnset};
use upspan::correlate::Config;
use upspan::event::{Event, MonotonicNs};
use upspan::export::{BatchLimits, FileOutput};
use upspan::filter::UpcallFilter;
use upspan::join::{Connection, JoinConfig, Joiner, Socket};
use upspan::pipeline::{self, Consumer};
use upspan::ports::Ports;
use upspan::replay::{Destination, Outlet, Pace, Speed, Stop, Times};
use upspan::source::input::Input;
use upspan::source::recording::{Options, Recording};
use upspan::trace::{IdGenerator, TimeAnchor, Tracer, TracerConfig};
use upspan::upcall::{FailedUpcall, Unmatched, Upcall};
use upspan_proto::v1;
use upspan_proto::v1::get_upcalls_response::Response;
use upspan_tests::fixtures;
use upspan_tests::raw::{RawBackend, RawClient};

use super::*;

/// A connection, whichever way a packet goes.
type Ends = (Socket, Socket);

fn ends(connection: &Connection) -> Ends {
    let Connection { source, destination, .. } = *connection;
    let key = |socket: &Socket| (socket.address, socket.port);
    if key(&source) < key(&destination) { (source, destination) } else { (destination, source) }
}

/// The connections of a recording: who sent the first packet, and from when to when.
#[derive(Default)]
struct Connections(BTreeMap<String, (Connection, u64, u64)>);

impl Consumer for Connections {
    fn event(&mut self, _: &Event<'_>, _: &Ports) {}

    fn upcall(&mut self, upcall: &Upcall<'_>, _: &Ports) {
        let Some(connection) = Connection::of(&upcall.packet) else { return };
        let (from, to) = (upcall.recv.ts.0, upcall.last().ts.0);
        let known = self.0.entry(format!("{:?}", ends(&connection)));
        let known = known.or_insert((connection, from, to));
        known.1 = known.1.min(from);
        known.2 = known.2.max(to);
    }

    fn failed(&mut self, _: &FailedUpcall<'_>, _: &Ports) {}

    fn unmatched(&mut self, _: &Unmatched) {}
}

fn recording(name: &str) -> Recording {
    let path = fixtures::path(&format!("{name}.events.zst"));
    Recording::open(&Input::from(&*path), Options::default()).unwrap()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn end(name: &str, socket: Socket) -> [KeyValue; 2] {
    [
        attribute(&format!("{name}.address"), Value::StringValue(socket.address.to_string())),
        attribute(&format!("{name}.port"), Value::IntValue(socket.port.into())),
    ]
}

/// The two spans of a request on a connection, as HTTP instrumentations report them: the client
/// knows whom it has called, and the server who it was.
fn spans(number: usize, connection: &Connection, time: (u64, u64)) -> [Span; 2] {
    let transport = format!("{:?}", connection.transport).to_lowercase();
    let id = number as u64 + 1;
    let span = |kind, span_id: u64, parent: Vec<u8>, ends: [KeyValue; 2]| Span {
        trace_id: u128::from(id).to_be_bytes().to_vec(),
        span_id: span_id.to_be_bytes().to_vec(),
        parent_span_id: parent,
        kind,
        start_time_unix_nano: time.0,
        end_time_unix_nano: time.1,
        attributes: ends
            .into_iter()
            .chain([attribute("network.transport", Value::StringValue(transport.clone()))])
            .collect(),
        ..Span::default()
    };
    let client = id << 32;
    [
        span(3, client, vec![], end("network.peer", connection.destination)),
        span(2, id, client.to_be_bytes().to_vec(), end("client", connection.source)),
    ]
}

/// A recording, joined with the spans of its connections.
struct JoinedRecording {
    /// Upcalls on connections.
    upcalls: usize,
    /// Links to spans of other connections.
    wrong: usize,
    /// Spans that were added to the traces of applications.
    added: usize,
    /// The upcalls' traces, in the order in which they were sent, and whether they have links.
    roots: Vec<(Vec<u8>, bool)>,
    /// What a client of the API got meanwhile.
    observed: Vec<v1::Upcall>,
}

/// An API, and where it listens.
fn api(directory: &tempfile::TempDir) -> (Server, Recorder, ServerUrl) {
    let address = format!("unix:{}", directory.path().join("api.sock").display());
    let options = ListenOptions { api: Some(address.clone()), ..ListenOptions::default() };
    let access = options.resolve(WhenUnset::Off).unwrap().unwrap();
    let (server, recorder) = Server::start(access).unwrap();
    (server, recorder, address.parse().unwrap())
}

/// Follows what an agent sees, to its end. Returns once it has begun.
async fn follow(server: ServerUrl) -> JoinHandle<Vec<v1::Upcall>> {
    let options = ClientOptions { server: Some(server), ..ClientOptions::default() };
    let mut client = options.connect().await.unwrap();
    let request = v1::GetUpcallsRequest { follow: true, ..v1::GetUpcallsRequest::default() };
    let mut stream = client.get_upcalls(request).await.unwrap().into_inner();
    tokio::spawn(async move {
        let mut observed = Vec::new();
        while let Some(message) = stream.message().await.unwrap() {
            match message.response.unwrap() {
                Response::Upcall(upcall) => observed.push(upcall),
                Response::Lost(lost) => panic!("{lost:?}"),
            }
        }
        observed
    })
}

async fn join(name: &'static str) -> JoinedRecording {
    let mut connections = Connections::default();
    pipeline::run(&mut recording(name), Config::default(), &mut connections, |_| true).unwrap();
    let last = connections.0.values().map(|&(_, _, to)| to).max().unwrap();
    let anchor = TimeAnchor::at(MonotonicNs(last), SystemTime::now());

    let backend = RawBackend::start();
    let agent = Agent::to(backend.endpoint());
    let client = RawClient::to(&agent.endpoint());
    let mut trace_of: HashMap<String, Vec<u8>> = HashMap::new();
    let mut batch = request(0);
    for (number, (ends, (connection, from, to))) in connections.0.iter().enumerate() {
        let time = (anchor.to_unix_ns(MonotonicNs(*from)), anchor.to_unix_ns(MonotonicNs(*to)));
        let spans = spans(number, connection, time);
        trace_of.insert(ends.clone(), spans[0].trace_id.clone());
        batch.resource_spans[0].scope_spans[0].spans.extend(spans);
    }
    client.export(batch.encode_to_vec().into()).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("traces.json");
    let file = FileOutput::create(&path, envelope()).unwrap();
    let tracer = Tracer::new(TracerConfig {
        ids: IdGenerator::seeded(1),
        anchor,
        ..TracerConfig::default()
    });
    let config = JoinConfig { app_spans: true, ..JoinConfig::default() };
    let outlet = Outlet::new(
        Destination { file: Some(file), ..Destination::default() },
        tracer,
        UpcallFilter::default(),
        BatchLimits::default(),
        Pace::new(Speed::Max, Stop::default()),
    )
    .with_joiner(Joiner::new(config, agent.index.clone()));
    let (server, recorder, url) = api(&dir);
    let observing = follow(url).await;
    let mut outlet = outlet.witnessed(Some(Box::new(recorder)));
    outlet.restart(Times::Anchored(anchor));
    pipeline::run(&mut recording(name), Config::default(), &mut outlet, |_| true).unwrap();
    outlet.end_joining();
    let totals = outlet.join_totals().unwrap();
    outlet.finish();
    agent.end().await;
    let observed = timeout(LONG, observing).await.unwrap().unwrap();
    server.shutdown().await;

    let (mut roots, mut wrong, mut added) = (Vec::new(), 0, 0);
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let request: ExportTraceServiceRequest = serde_json::from_str(line).unwrap();
        for span in &request.resource_spans[0].scope_spans[0].spans {
            if span.name == "ovs upcall" {
                added += 1;
                continue;
            }
            if span.name == "upcall" {
                roots.push((span.trace_id.clone(), !span.links.is_empty()));
            }
            let trace = connection_of(span).and_then(|ends| trace_of.get(&ends));
            wrong += span.links.iter().filter(|link| Some(&link.trace_id) != trace).count();
        }
    }
    let upcalls = usize::try_from(totals.upcalls).unwrap();
    JoinedRecording { upcalls, wrong, added, roots, observed }
}

/// The connection of a root span, by what it says of its packet. Of a tunnel's packet it says the
/// tunnel: the recordings that are joined here have none.
fn connection_of(root: &Span) -> Option<String> {
    let text = |key: &str| {
        let pair = root.attributes.iter().find(|pair| pair.key == key)?;
        match pair.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.clone()),
            Value::IntValue(number) => Some(number.to_string()),
            _ => None,
        }
    };
    let socket = |side: &str| {
        Some(Socket {
            address: text(&format!("{side}.address"))?.parse().ok()?,
            port: text(&format!("{side}.port"))?.parse().ok()?,
        })
    };
    let (source, destination) = (socket("source")?, socket("destination")?);
    let transport = upspan::join::Transport::Tcp;
    Some(format!("{:?}", ends(&Connection { transport, source, destination })))
}

#[tokio::test(flavor = "multi_thread")]
async fn upcalls_are_linked_to_the_spans_of_their_connections_and_to_no_others() {
    for name in ["pvp-10k", "mix-4319", "medium-10686"] {
        let JoinedRecording { upcalls, wrong, added, roots, observed } = join(name).await;
        let linked = roots.iter().filter(|(_, is_linked)| *is_linked).count();
        println!("{name}: {upcalls} upcalls, {linked} linked, {wrong} wrong");
        assert!(upcalls > 100, "{name} has {upcalls} upcalls on connections");
        assert_eq!(wrong, 0, "{name}");
        assert!(linked * 100 >= upcalls * 95, "{name}: {linked} of {upcalls}");
        assert_eq!(added, linked, "{name}: one for each, in one trace");

        // A client of the API sees each of them once, and under the same trace.
        let sequences: Vec<_> = observed.iter().map(|upcall| upcall.sequence).collect();
        assert_eq!(sequences, (0..roots.len() as u64).collect::<Vec<_>>(), "{name}");
        let mut observed: Vec<_> = observed.into_iter().map(|upcall| upcall.trace_id).collect();
        let mut sent: Vec<_> = roots.into_iter().map(|(trace_id, _)| trace_id).collect();
        observed.sort();
        sent.sort();
        assert_eq!(observed, sent, "{name}");
    }
}
