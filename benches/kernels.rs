//! Every catalogue row on the `cpu` engine, on the largest of its cases: `cargo bench --bench kernels [NAME]`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fedgan::exec::{CpuEngine, Engine, Recording, Tensor};
use fedgan::kernels::{CATALOGUE, Fill, Kernel};

/// Words for one operand: deterministic, of the kind the case asks for.
fn words(fill: &Fill, len: usize) -> Vec<u32> {
    let wave = |i: usize, scale: f64| (scale * (i as f64 * 0.7).sin()) as f32;
    match fill {
        Fill::Real { scale, shift } => (0..len).map(|i| (wave(i, *scale) + *shift as f32).to_bits()).collect(),
        Fill::Positive { scale } => (0..len).map(|i| (wave(i, *scale).abs() + 1e-3).to_bits()).collect(),
        Fill::Words(words) => words.iter().copied().cycle().take(len).collect(),
        Fill::Below(n) => (0..len as u32).map(|i| i % n).collect(),
        Fill::Nan => vec![0; len],
    }
}

fn record(engine: &mut CpuEngine, kernel: &'static dyn Kernel, case: &[u32]) -> fedgan::Result<Recording> {
    let extents = kernel.extents(case).map_err(fedgan::Error::internal)?;
    let mut args: Vec<Tensor> = Vec::new();
    for ((extent, fill), binding) in extents.iter().zip(kernel.fills(case)).zip(kernel.bindings()) {
        let tensor = engine.alloc(binding.name, *extent)?;
        engine.write(tensor, &words(&fill, *extent))?;
        args.push(tensor);
    }
    let mut recording = Recording::new();
    recording.launch_words(kernel, case.to_vec(), &args, kernel.name())?;
    Ok(recording)
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cpu");
    group.sample_size(20);
    for kernel in CATALOGUE {
        let cases = kernel.cases();
        let largest = cases.iter().max_by(|a, b| kernel.cost(a).bytes.total_cmp(&kernel.cost(b).bytes));
        let Some(case) = largest else { continue };
        let mut engine = CpuEngine::new();
        let recording = record(&mut engine, *kernel, case).expect("cases pass the shape rule");
        group.throughput(Throughput::Bytes(kernel.cost(case).bytes as u64));
        group.bench_function(kernel.name(), |b| {
            b.iter(|| engine.run(&recording, 1).expect("the cpu engine runs every row"));
        });
    }
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
