//! Adds the partial sums of a split weight gradient.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, U, gamma, linear_grid, strided,
};

crate::params! {
    /// Parameters of [`SplitSum`].
    pub struct SplitSumParams {
        /// Clients.
        clients: u32 in Count,
        /// Parts of each sum.
        splits: u32 in Count,
        /// Elements of each client's result.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// 1 adds to the old `y`.
        accumulate: u32 in Range(0, 1),
    }
}

/// `y[c, i] = (accumulate ? y[c, i] : 0) + x[c, 0, i] + x[c, 1, i] + ...`, in order of the parts.
pub struct SplitSum;

impl Kernel for SplitSum {
    type Params = SplitSumParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "nn/split_sum";
    const FORMULA: &'static str = "y[i] (+)= sum(s) x[s, i], in order of s";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][splits][n], client stride x_stride"),
        Binding::write("y", "[clients][n], client stride y_stride"),
    ];
    fn extents(&self, p: &SplitSumParams) -> Result<[usize; 2], String> {
        if p.accumulate > 1 {
            return Err(format!("accumulate {}: must be 0 or 1", p.accumulate));
        }
        if p.splits > MAX_GROUPS {
            return Err(format!("{} parts: at most {MAX_GROUPS}, the groups of one grid dimension", p.splits));
        }
        let Some(len) = p.splits.checked_mul(p.n) else {
            return Err(format!("{} parts of {} elements exceed a u32 index", p.splits, p.n));
        };
        Ok([strided(p.clients, p.x_stride, len)?, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &SplitSumParams, _class: Class) -> Build {
        Build::plain("nn/split_sum.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &SplitSumParams) -> Cost {
        let results = p.clients as f64 * p.n as f64;
        let (splits, accumulate) = (p.splits as f64, p.accumulate as f64);
        Cost { flops: results * (splits - 1.0 + accumulate), bytes: 4.0 * results * (splits + 1.0 + accumulate) }
    }
    fn at(&self, p: &SplitSumParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (n, stride) = (p.n as usize, p.y_stride as usize);
        // With one client the stride may be less than n.
        let (c, i) = if p.clients == 1 { (0, index) } else { (index / stride, index % stride) };
        if i >= n {
            return None;
        }
        let mut terms: Vec<f64> = if p.accumulate == 1 { vec![inputs.f(1, index)] } else { Vec::new() };
        terms.extend((0..p.splits as usize).map(|s| inputs.f(0, c * p.x_stride as usize + s * n + i)));
        let value: f64 = terms.iter().sum();
        let scale: f64 = terms.iter().map(|t| t.abs()).sum();
        // On the device one rounding fewer than terms, plus the reference's own rounding to f32.
        Some(Eval::within(value, gamma(terms.len()) * scale + U * value.abs()).over(terms.len()))
    }
    fn cases(&self) -> Vec<SplitSumParams> {
        [(1, 1, 1, 64, 64, 0), (1, 4, 1000, 4032, 1024, 1), (3, 3, 257, 832, 320, 0), (2, 7, 64, 512, 128, 1)]
            .map(|(clients, splits, n, x_stride, y_stride, accumulate)| SplitSumParams {
                clients,
                splits,
                n,
                x_stride,
                y_stride,
                accumulate,
            })
            .to_vec()
    }
    fn contents(&self, p: &SplitSumParams) -> [Contents; 2] {
        [Contents::NORMAL, if p.accumulate == 1 { Contents::NORMAL } else { Contents::Nan }]
    }
    fn exact_on_integers(&self, _: &SplitSumParams) -> bool {
        true
    }
}
