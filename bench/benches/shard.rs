//! A whole shard without its sockets: one message to many cursors, a `say`, a connection.
#![allow(missing_docs, reason = "criterion's macros write functions of their own")]

use chatup_bench::cases::shard;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out");
    for subscribers in [1_u32, 100, 10_000] {
        group.throughput(Throughput::Elements(subscribers.into()));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
            b.iter(shard::fan_out(subscribers));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("say");
    group.throughput(Throughput::Elements(1));
    for bytes in [16, 120, 4_000] {
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| b.iter(shard::say(bytes)));
    }
    group.finish();
    criterion.bench_function("connect", |b| b.iter(shard::connect()));
}

criterion_group!(benches, bench);
criterion_main!(benches);
