//! What the API costs the pipeline for each upcall: the writing into its ring, alone and with a
//! client that follows as fast as it can.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use upspan::api::client::{ClientOptions, ServerUrl};
use upspan::api::{ListenOptions, Server, WhenUnset};
use upspan::replay::{Passed, Witness};
use upspan::trace::{IdGenerator, TimeAnchor};
use upspan_proto::v1::GetUpcallsRequest;

mod sample;

use self::sample::Sample;

fn record(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let address = format!("unix:{}", directory.path().join("api.sock").display());
    let options = ListenOptions { api: Some(address.clone()), ..ListenOptions::default() };
    let access = options.resolve(WhenUnset::Off).expect("an address").expect("an address");
    let runtime = Runtime::new().expect("a runtime");
    let (server, mut recorder) =
        runtime.block_on(async { Server::start(access) }).expect("a socket");

    let sample = Sample::new();
    let upcall = sample.upcall();
    let trace_id = Some(IdGenerator::seeded(1).trace_id());
    let passed = Passed { trace_id, anchor: TimeAnchor::default() };
    let mut group = c.benchmark_group("api");
    group.throughput(Throughput::Elements(1));
    group.bench_function("record", |b| {
        b.iter(|| recorder.upcall(black_box(&upcall), &sample.ports, passed));
    });

    let server_url: ServerUrl = address.parse().expect("an address");
    let following = runtime.spawn(async move {
        let options = ClientOptions { server: Some(server_url), ..ClientOptions::default() };
        let mut client = options.connect().await.expect("it listens");
        let request = GetUpcallsRequest { follow: true, ..GetUpcallsRequest::default() };
        let mut stream = client.get_upcalls(request).await.expect("a stream").into_inner();
        let mut received = 0_u64;
        while let Ok(Some(_)) = stream.message().await {
            received += 1;
        }
        received
    });
    group.bench_function("record, followed", |b| {
        b.iter(|| recorder.upcall(black_box(&upcall), &sample.ports, passed));
    });
    group.finish();
    drop(recorder);
    let received = runtime.block_on(following).expect("the client runs");
    println!("the client has received {received} upcalls, and losses");
    runtime.block_on(server.shutdown());
}

criterion_group!(benches, record);
criterion_main!(benches);
