//! WebSocket frames: a client's taken apart, the server's put together.
#![allow(missing_docs, reason = "criterion's macros write functions of their own")]

use chatup_bench::cases::frames;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [u64; 4] = [16, 120, 1_024, 8_192];

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame_read");
    for bytes in SIZES {
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| b.iter(frames::read(size(bytes))));
    }
    group.finish();
    let mut group = criterion.benchmark_group("frame_write");
    for bytes in SIZES {
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| b.iter(frames::write(size(bytes))));
    }
    group.finish();
    let mut group = criterion.benchmark_group("broadcast_write");
    for bytes in SIZES {
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| b.iter(frames::broadcast(size(bytes))));
    }
    group.finish();
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a small number")
}

criterion_group!(benches, bench);
criterion_main!(benches);
