//! A kernel that is not in fedgan's catalogue: declared as a row, validated against its f64 reference, then timed.
//!
//! `cargo run --release --example custom_kernel [DEVICE]` (a GPU or a software driver: `fedgan devices` lists them)

use fedgan::check::{Checker, Options, Repro, Style, Verdict};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::shader::Source;
use fedgan::kernels::{
    AnyKernel, Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, Params, flushed, gamma, linear_grid,
    split, strided,
};
use fedgan::perf::{Bench, Budget, measure};
use std::collections::BTreeMap;

/// The shader. Its uniform block must have the fields of [`AxpyParams`], its bindings must be those of [`Axpy::BINDINGS`].
const AXPY: &str = "
struct Params {
    clients: u32,
    n: u32,
    stride: u32,
    a: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let client = group.z * p.stride;
    for (var i = group.x * 256u + lane; i < p.n; i += groups.x * 256u) {
        y[client + i] += p.a * x[client + i];
    }
}
";

fedgan::params! {
    /// Parameters of [`Axpy`]. Behind `in` stands how random problems draw the field.
    pub struct AxpyParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `x` and `y`.
        stride: u32 in Stride,
        /// The factor.
        a: f32 in Real(-2.0, 2.0),
    }
}

/// y = y + a x, for every client.
struct Axpy;

impl Kernel for Axpy {
    type Params = AxpyParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "custom/axpy";
    const FORMULA: &'static str = "y = y + a x";
    const BINDINGS: &'static [Binding; 2] =
        &[Binding::read("x", "[clients][n], client stride `stride`"), Binding::write("y", "like x")];
    fn extents(&self, p: &AxpyParams) -> Result<[usize; 2], String> {
        let words = strided(p.clients, p.stride, p.n)?;
        Ok([words, words])
    }
    fn build(&self, p: &AxpyParams, _class: Class) -> Build {
        Build::plain("custom/axpy.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &AxpyParams) -> Cost {
        let n = f64::from(p.clients) * f64::from(p.n);
        Cost { flops: 2.0 * n, bytes: 12.0 * n }
    }
    /// The product and the sum round once each; a device may flush subnormal numbers to 0.
    fn at(&self, p: &AxpyParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        if split(index, p.clients, p.stride).1 >= p.n as usize {
            return None;
        }
        let (x, y, a) = (inputs.f(0, index), inputs.f(1, index), f64::from(p.a));
        Some(Eval::within(y + a * x, gamma(2) * (y.abs() + (a * x).abs()) + flushed(&[a, x])))
    }
    fn cases(&self) -> Vec<AxpyParams> {
        [(1, 1, 0.5), (3, 257, -1.25), (2, 100_000, 0.1)]
            .map(|(clients, n, a)| AxpyParams { clients, n, stride: n.next_multiple_of(64) + 64, a })
            .to_vec()
    }
    fn contents(&self, _: &AxpyParams) -> [Contents; 2] {
        [Contents::NORMAL, Contents::NORMAL]
    }
}

fn main() -> fedgan::Result<()> {
    // SAFETY: called first in the process, before any thread could read the environment.
    unsafe { fedgan::gpu::quiet_drivers() };
    let device = std::env::args().nth(1).unwrap_or("gpu".into());
    let sources = BTreeMap::from([("custom/axpy.wgsl".to_string(), Source::new("axpy.wgsl", AXPY))]);
    let mut engine = GpuEngine::open(&device, GpuOptions { sources, timestamps: true, ..GpuOptions::default() })?;

    // Every case: small integers and normals within their bounds, NaN and infinities where they belong, guard bands untouched,
    // a second run equal to the bit.
    for params in AnyKernel::cases(&Axpy) {
        let case = Repro { kernel: &Axpy, params, seed: 1, style: Style::Plain };
        let result = Checker::new(&mut engine).case(&case, Options::default())?;
        println!("{case}: {} elements, at most {:.0} % of the bound", result.elements, result.percent);
        if let Verdict::Fail(failure) = result.verdict {
            return Err(fedgan::Error::Device(format!("{case}: {failure}")));
        }
    }

    let params = AxpyParams { clients: 4, n: 1 << 20, stride: 1 << 20, a: 0.5 };
    let mut bench = Bench::of(engine);
    let recording = bench.record(&Axpy, &params.words(), "axpy")?;
    let summary = measure(bench.engine.as_mut(), &recording, &Budget::of(1.0), &mut |_| Ok(()))?.summary()?;
    let rate = Kernel::cost(&Axpy, &params).bytes / summary.median / 1e9;
    println!("{} elements: {:.3} ms, {rate:.1} GB/s", 4 << 20, 1e3 * summary.median);
    Ok(())
}
