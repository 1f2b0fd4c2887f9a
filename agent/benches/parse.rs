//! Bytes of a recording read per second, by one thread.

use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use upspan::source::recording::{Options, Recording};

const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/medium-10686.events.zst");

fn read_all(bytes: &'static [u8]) -> u64 {
    let mut recording =
        Recording::from_reader(Cursor::new(bytes), Options::default()).expect("memory is readable");
    while let Some(record) = recording.next().expect("the fixture is whole") {
        black_box(record);
    }
    recording.counts().sum().valid
}

fn parse(criterion: &mut Criterion) {
    let compressed = std::fs::read(FIXTURE).expect("the fixture is there");
    let plain = zstd::decode_all(&compressed[..]).expect("the fixture is whole");
    let (plain, compressed): (&[u8], &[u8]) = (plain.leak(), compressed.leak());
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("plain", |bencher| bencher.iter(|| read_all(plain)));
    group.bench_function("zstd", |bencher| bencher.iter(|| read_all(compressed)));
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
