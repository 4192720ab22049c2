//! A client's call: the product's whole way (`core`), and the parsers alone on the same structure.
//! core uses simd-json; serde_json beside it keeps that choice proven, or shows that it no longer is.
#![allow(missing_docs, reason = "criterion's macros write functions of their own")]

use chatup_bench::cases::calls;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    let texts = [
        ("ping", r#"{"id":1,"call":"ping"}"#.to_owned()),
        ("say_16", calls::say(16)),
        ("say_120", calls::say(120)),
        ("say_1000", calls::say(1_000)),
        ("say_4000", calls::say(4_000)),
        ("say_escaped_120", calls::say_escaped(120)),
        ("say_escaped_1000", calls::say_escaped(1_000)),
        ("subscribe_1", calls::subscribe(1)),
        ("subscribe_8", calls::subscribe(8)),
    ];
    let mut group = criterion.benchmark_group("call");
    for (name, text) in texts {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("core", name), |b| b.iter(calls::core(text.clone())));
        group.bench_function(BenchmarkId::new("simd_json", name), |b| b.iter(calls::simd_json(text.clone())));
        group.bench_function(BenchmarkId::new("serde_json", name), |b| {
            b.iter(calls::serde_json(text.clone()));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
