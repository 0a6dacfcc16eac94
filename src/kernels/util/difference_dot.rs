//! The component of every client's difference from a reference along one direction.

use super::reduce_sum::sum_depth;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, split, strided,
};

crate::params! {
    /// Parameters of [`DifferenceDot`].
    pub struct DifferenceDotParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// The element of a client's row of `y` that receives the sum.
        y_at: u32 in Range(0, 70),
    }
}

/// `y[c, y_at] = sum_i (x[c, i] - reference[i]) (mean[i] - reference[i])` (the inner product of a client's update with
/// the mean update), one workgroup per client, in a fixed order. Other elements of `y` keep their values.
pub struct DifferenceDot;

impl Kernel for DifferenceDot {
    type Params = DifferenceDotParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "util/difference_dot";
    const FORMULA: &'static str = "y[c, y_at] = sum_i (x[c, i] - reference[i]) (mean[i] - reference[i])";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("reference", "[n], the same for all clients"),
        Binding::read("mean", "[n], the same for all clients"),
        Binding::write("y", "[clients][y_at + 1], client stride y_stride"),
    ];
    fn extents(&self, p: &DifferenceDotParams) -> Result<[usize; 4], String> {
        let y = strided(p.clients, p.y_stride, p.y_at.saturating_add(1))?;
        Ok([strided(p.clients, p.x_stride, p.n)?, p.n as usize, p.n as usize, y])
    }
    fn build(&self, p: &DifferenceDotParams, _class: Class) -> Build {
        Build::plain("util/difference_dot.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, p: &DifferenceDotParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 4.0 * n, bytes: 4.0 * n + 8.0 * p.n as f64 + 4.0 * p.clients as f64 }
    }
    fn at(&self, p: &DifferenceDotParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        if i != p.y_at as usize {
            return None;
        }
        let (mut value, mut magnitude, mut lost) = (0.0, 0.0, 0.0);
        for j in 0..p.n as usize {
            let reference = inputs.f(1, j);
            let (x, z) = (inputs.f(0, c * p.x_stride as usize + j) - reference, inputs.f(2, j) - reference);
            let term = x * z;
            lost += flushed(&[x, z]);
            value += term;
            magnitude += term.abs();
        }
        // Two differences and their product are rounded once each, then the term passes through the additions.
        Some(Eval::within(value, gamma(sum_depth(p.n) + 3) * magnitude + lost).over(sum_depth(p.n) + 3))
    }
    fn cases(&self) -> Vec<DifferenceDotParams> {
        [(1, 1, 64, 64, 0), (3, 10_007, 10_048, 64, 1), (2, 255, 256, 128, 3)]
            .map(|(clients, n, x_stride, y_stride, y_at)| DifferenceDotParams { clients, n, x_stride, y_stride, y_at })
            .to_vec()
    }
    fn contents(&self, _: &DifferenceDotParams) -> [Contents; 4] {
        [Contents::NORMAL, Contents::NORMAL, Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &DifferenceDotParams) -> bool {
        true
    }
}
