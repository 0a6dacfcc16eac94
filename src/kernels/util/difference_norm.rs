//! The squared distance of every client from a reference.

use super::reduce_sum::sum_depth;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, split, strided,
};

crate::params! {
    /// Parameters of [`DifferenceNorm`].
    pub struct DifferenceNormParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
    }
}

/// `y[c] = sum_i (x[c, i] - reference[i])^2` (the squared norm of a client's update), one workgroup per client, in a
/// fixed order.
pub struct DifferenceNorm;

impl Kernel for DifferenceNorm {
    type Params = DifferenceNormParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "util/difference_norm";
    const FORMULA: &'static str = "y[c] = sum_i (x[c, i] - reference[i])^2";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("reference", "[n], the same for all clients"),
        Binding::write("y", "[clients][1], client stride y_stride"),
    ];
    fn extents(&self, p: &DifferenceNormParams) -> Result<[usize; 3], String> {
        Ok([strided(p.clients, p.x_stride, p.n)?, p.n as usize, strided(p.clients, p.y_stride, 1)?])
    }
    fn build(&self, p: &DifferenceNormParams, _class: Class) -> Build {
        Build::plain("util/difference_norm.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, p: &DifferenceNormParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 3.0 * n, bytes: 4.0 * n + 4.0 * p.n as f64 + 4.0 * p.clients as f64 }
    }
    fn at(&self, p: &DifferenceNormParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        if i > 0 {
            return None;
        }
        let (mut value, mut lost) = (0.0, 0.0);
        for j in 0..p.n as usize {
            let difference = inputs.f(0, c * p.x_stride as usize + j) - inputs.f(1, j);
            value += difference * difference;
            lost += flushed(&[difference, difference]);
        }
        // The difference's rounding counts twice in its square, the square is rounded once; all terms are positive.
        Some(Eval::within(value, gamma(sum_depth(p.n) + 3) * value + lost).over(sum_depth(p.n) + 3))
    }
    fn cases(&self) -> Vec<DifferenceNormParams> {
        [(1, 1, 64, 64), (3, 10_007, 10_048, 64), (2, 255, 256, 128)]
            .map(|(clients, n, x_stride, y_stride)| DifferenceNormParams { clients, n, x_stride, y_stride })
            .to_vec()
    }
    fn contents(&self, _: &DifferenceNormParams) -> [Contents; 3] {
        [Contents::NORMAL, Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &DifferenceNormParams) -> bool {
        true
    }
}
