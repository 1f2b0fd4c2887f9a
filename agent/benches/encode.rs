//! Spans per second from upcall to OTLP bytes: packet headers, flow key, ids, encoding.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use upspan::event::MonotonicNs;
use upspan::trace::{Envelope, IdGenerator, Resource, SpanBatch, TimeAnchor, Tracer, TracerConfig};

mod sample;

use self::sample::Sample;

/// Upcalls per iteration, and so per request.
const UPCALLS: usize = 500;

fn encode(c: &mut Criterion) {
    let sample = Sample::new();
    let (upcall, ports) = (sample.upcall(), &sample.ports);
    let mut tracer = Tracer::new(TracerConfig {
        ids: IdGenerator::seeded(1),
        anchor: TimeAnchor::new(MonotonicNs(0), 1_700_000_000_000_000_000),
        ..TracerConfig::default()
    });
    let envelope =
        Envelope::new(&Resource::from_env(Some("node"), |_| None).expect("an empty environment"));

    let mut batch = SpanBatch::default();
    let traced = tracer.trace(&upcall, ports, &mut batch).expect("every upcall is sampled");

    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements((UPCALLS * traced.spans) as u64));
    group.bench_function("spans", |b| {
        b.iter(|| {
            batch.clear();
            for _ in 0..UPCALLS {
                tracer.trace(black_box(&upcall), ports, &mut batch);
            }
            batch.len_bytes()
        });
    });
    group.bench_function("spans and request", |b| {
        b.iter(|| {
            batch.clear();
            for _ in 0..UPCALLS {
                tracer.trace(black_box(&upcall), ports, &mut batch);
            }
            envelope.request(&batch.take())
        });
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
