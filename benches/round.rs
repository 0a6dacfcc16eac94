//! Whole federated rounds on the `cpu` engine, with both losses: `cargo bench --bench round`. `fedgan bench round`
//! times them on any device and at any size.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fedgan::exec::CpuEngine;
use fedgan::perf::{Loss, Workload};

/// Steps per round.
const STEPS: u32 = 2;

fn rounds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round");
    group.sample_size(10);
    let named = Workload::named("w1").expect("a named workload");
    for (name, loss) in [("bce", Loss::Bce), ("wgan-gp", Loss::WganGp)] {
        let workload = Workload { width: 8, clients: 2, loss, ..named };
        let mut federation = workload.federation(Box::new(CpuEngine::new()), STEPS).expect("a valid workload");
        group.throughput(Throughput::Elements(u64::from(STEPS * workload.batch * workload.clients)));
        group.bench_function(name, |b| b.iter(|| federation.run_round().expect("the cpu engine runs rounds")));
    }
    group.finish();
}

criterion_group!(benches, rounds);
criterion_main!(benches);
