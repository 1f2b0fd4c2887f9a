//! The API of the agent: a server in this process, fed by a recording, and clients over its socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod access;
mod slow;
mod upcalls;

use std::io::Cursor;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use upspan::api::client::{Client, ClientOptions, ServerUrl};
use upspan::api::{ListenOptions, Recorder, Server, WhenUnset};
use upspan::correlate::Config;
use upspan::export::BatchLimits;
use upspan::filter::UpcallFilter;
use upspan::listen::ListenAddress;
use upspan::pipeline;
use upspan::replay::{Destination, Outlet, Pace, Speed, Stop, Times};
use upspan::source::recording::{Options, Recording};
use upspan::trace::{IdGenerator, TimeAnchor, Tracer, TracerConfig};
use upspan_proto::v1::get_upcalls_response::Response;
use upspan_proto::v1::{GetUpcallsRequest, Upcall};
use upspan_tests::fixtures;

/// Far more than anything here takes; a test that waits for ever says nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, with a socket of its own.
struct Served {
    server: Server,
    directory: TempDir,
}

fn options(address: &str) -> ListenOptions {
    ListenOptions { api: Some(address.to_owned()), ..ListenOptions::default() }
}

fn start(options: &ListenOptions) -> (Server, Recorder) {
    Server::start(options.resolve(WhenUnset::Off).unwrap().unwrap()).unwrap()
}

impl Served {
    /// Keeps so many upcalls.
    fn new(history: usize) -> (Self, Recorder) {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("unix:{}", directory.path().join("api.sock").display());
        let (server, recorder) =
            start(&ListenOptions { api_history: Some(history), ..options(&address) });
        (Self { server, directory }, recorder)
    }

    /// One that has seen a recording, whose times it keeps, and that sees no more.
    async fn of(recording: &'static str) -> Self {
        let (served, recorder) = Self::new(16_384);
        feed(recorder, recording, 1).await;
        served
    }

    async fn client(&self) -> Client {
        client(self.server.address()).await
    }
}

fn url(address: &ListenAddress) -> ServerUrl {
    match address {
        ListenAddress::Tcp(address) => format!("http://{address}").parse().unwrap(),
        unix @ ListenAddress::Unix(_) => unix.to_string().parse().unwrap(),
    }
}

async fn client(address: &ListenAddress) -> Client {
    let options = ClientOptions { server: Some(url(address)), ..ClientOptions::default() };
    options.connect().await.unwrap()
}

/// An outlet that sends nothing anywhere.
fn outlet(recorder: Recorder) -> Outlet {
    let config = TracerConfig { ids: IdGenerator::seeded(1), ..TracerConfig::default() };
    let pace = Pace::new(Speed::Max, Stop::default());
    let (limits, filter) = (BatchLimits::default(), UpcallFilter::default());
    let outlet = Outlet::new(Destination::default(), Tracer::new(config), filter, limits, pace);
    outlet.witnessed(Some(Box::new(recorder)))
}

/// Sends a recording through the pipeline, so many times. Returns how many upcalls it had in all.
async fn feed(recorder: Recorder, recording: &'static str, times: usize) -> u64 {
    spawn_blocking(move || {
        let bytes = fixtures::read(&format!("{recording}.events"));
        let mut outlet = outlet(recorder);
        outlet.restart(Times::Anchored(TimeAnchor::default()));
        for _ in 0..times {
            let bytes = Cursor::new(bytes.clone());
            let mut recording = Recording::from_reader(bytes, Options::default()).unwrap();
            pipeline::run(&mut recording, Config::default(), &mut outlet, |_| true).unwrap();
        }
        outlet.finish().0.upcalls
    })
    .await
    .unwrap()
}

/// All that a stream gives, to its end.
async fn get(client: &mut Client, request: GetUpcallsRequest) -> Vec<Response> {
    let all = async {
        let mut stream = client.get_upcalls(request).await.unwrap().into_inner();
        let mut responses = Vec::new();
        while let Some(response) = stream.message().await.unwrap() {
            responses.push(response.response.unwrap());
        }
        responses
    };
    timeout(PATIENCE, all).await.unwrap()
}

/// The upcalls of a stream that lacks nothing.
async fn upcalls(client: &mut Client, request: GetUpcallsRequest) -> Vec<Upcall> {
    let upcall = |response| match response {
        Response::Upcall(upcall) => upcall,
        Response::Lost(lost) => panic!("{lost:?}"),
    };
    get(client, request).await.into_iter().map(upcall).collect()
}
