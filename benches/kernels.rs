//! Every catalogue row on the `cpu` engine, with the heaviest launch of a W1 training step or, if the step does not
//! launch the row, of its cases: `cargo bench --bench kernels [NAME]`. The problems are those of `fedgan bench`, which
//! also times GPUs and verifies first.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fedgan::exec::CpuEngine;
use fedgan::perf::{Bench, Problem, Workload};

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cpu");
    group.sample_size(20);
    let w1 = ("w1".to_string(), Workload::named("w1").expect("a named workload"));
    let problems = Problem::of_training(&[w1], &|_| true, 1).expect("W1 is valid");
    let mut bench = Bench::new(Box::new(CpuEngine::new()));
    for p in problems {
        let recording = bench.record(p.kernel, &p.params, &p.origin).expect("what training launches is valid");
        group.throughput(Throughput::Bytes(p.kernel.cost(&p.params).bytes as u64));
        group.bench_function(p.kernel.name(), |b| {
            b.iter(|| bench.engine.run(&recording, 1).expect("the cpu engine runs every row"));
        });
    }
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
