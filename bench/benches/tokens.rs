//! Verification of a user's token, an algorithm each.
#![allow(missing_docs, reason = "criterion's macros write functions of their own")]

use chatup_bench::cases::tokens::{EDDSA, ES256, HS256, RS256, Sample, verify};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    const SAMPLES: [(&str, &Sample); 4] =
        [("HS256", &HS256), ("RS256", &RS256), ("EdDSA", &EDDSA), ("ES256", &ES256)];
    let mut group = criterion.benchmark_group("token_verify");
    group.throughput(Throughput::Elements(1));
    for (name, sample) in SAMPLES {
        group.bench_function(name, |b| b.iter(verify(sample)));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
