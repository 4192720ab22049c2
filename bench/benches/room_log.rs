//! A channel's log: appending to a full one, and what cursors are given.
#![allow(missing_docs, reason = "criterion's macros write functions of their own")]

use chatup_bench::cases::room_log;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("room_log_append");
    group.throughput(Throughput::Elements(1));
    for bytes in [16, 120, 1_024] {
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| b.iter(room_log::append(bytes)));
    }
    group.finish();
    // One piece of memory whatever the number: the time should not grow with it.
    let mut group = criterion.benchmark_group("room_log_read");
    for behind in [1, 64, 500] {
        group.bench_function(BenchmarkId::from_parameter(behind), |b| b.iter(room_log::read(behind)));
    }
    group.finish();
    let mut group = criterion.benchmark_group("room_log_run");
    for messages in [1_u32, 64, 256] {
        group.throughput(Throughput::Elements(messages.into()));
        group.bench_function(BenchmarkId::from_parameter(messages), |b| {
            b.iter(room_log::run(messages as usize));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
