//! Sums over a client's elements.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, gamma, split, strided};

crate::params! {
    /// Parameters of [`ReduceSum`].
    pub struct ReduceSumParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// 0: sum, 1: sum of squares.
        mode: u32 in Range(0, 1),
    }
}

/// Maximum additions for a term of the sum: those of its lane, then the tree over 256 lanes.
pub(super) fn sum_depth(n: u32) -> usize {
    n.div_ceil(256) as usize + 8
}

/// `y[c] = sum_i x[c, i]` (mode 0) or `sum_i x[c, i]^2` (mode 1), one workgroup per client, in a fixed order.
pub struct ReduceSum;

impl Kernel for ReduceSum {
    type Params = ReduceSumParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "util/reduce_sum";
    const FORMULA: &'static str = "y[c] = sum_i x[c, i] or sum_i x[c, i]^2";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::write("y", "[clients][1], client stride y_stride"),
    ];
    fn extents(&self, p: &ReduceSumParams) -> Result<[usize; 2], String> {
        if p.mode > 1 {
            return Err(format!("mode {}: must be 0 (sum) or 1 (sum of squares)", p.mode));
        }
        Ok([strided(p.clients, p.x_stride, p.n)?, strided(p.clients, p.y_stride, 1)?])
    }
    fn build(&self, p: &ReduceSumParams, _class: Class) -> Build {
        Build::plain("util/reduce_sum.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, p: &ReduceSumParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: (1 + p.mode) as f64 * n, bytes: 4.0 * n + 4.0 * p.clients as f64 }
    }
    fn at(&self, p: &ReduceSumParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        if i > 0 {
            return None;
        }
        let (mut value, mut magnitude) = (0.0, 0.0);
        for j in 0..p.n as usize {
            let x = inputs.f(0, c * p.x_stride as usize + j);
            let term = if p.mode == 1 { x * x } else { x };
            value += term;
            magnitude += term.abs();
        }
        Some(Eval::within(value, gamma(sum_depth(p.n) + p.mode as usize) * magnitude).over(sum_depth(p.n)))
    }
    fn cases(&self) -> Vec<ReduceSumParams> {
        let p = ReduceSumParams { clients: 1, n: 1, x_stride: 64, y_stride: 64, mode: 0 };
        vec![
            p,
            ReduceSumParams { clients: 3, n: 10_007, x_stride: 10_048, ..p },
            ReduceSumParams { clients: 2, n: 4096, x_stride: 4096, mode: 1, ..p },
            ReduceSumParams { clients: 2, n: 255, x_stride: 256, y_stride: 128, mode: 1 },
        ]
    }
    fn contents(&self, _: &ReduceSumParams) -> [Contents; 2] {
        [Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &ReduceSumParams) -> bool {
        true
    }
}
