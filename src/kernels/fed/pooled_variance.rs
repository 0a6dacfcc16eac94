//! The variance of all clients' data from their means and variances.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, linear_grid, strided,
};

crate::params! {
    /// Parameters of [`PooledVariance`].
    pub struct PooledVarianceParams {
        /// Clients.
        clients: u32 in Count,
        /// Channels.
        n: u32 in Count,
        /// Client stride of `mean` and `variance`.
        x_stride: u32 in Stride,
        /// Client c has weight `weights[first + c]`.
        first: u32 in Range(0, 70),
        /// 1 adds to the old `y`, 0 starts from 0.
        accumulate: u32 in Range(0, 1),
    }
}

/// `y[i] = (accumulate ? y[i] : 0) + sum_c weights[first + c] (variance[c, i] + (mean[c, i] - centre[i])^2)`: with weights that sum to one
/// and their mean of means as the centre, the variance of the pooled data. A client of weight 0 is not read.
pub struct PooledVariance;

impl Kernel for PooledVariance {
    type Params = PooledVarianceParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "fed/pooled_variance";
    const FORMULA: &'static str = "y = [y +] sum_c weights[first + c] (variance[c] + (mean[c] - centre)^2)";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::read("mean", "[clients][n], client stride x_stride"),
        Binding::read("variance", "[clients][n], client stride x_stride"),
        Binding::read("weights", "[>= first + clients]"),
        Binding::read("centre", "[n]"),
        Binding::write("y", "[n]"),
    ];
    fn extents(&self, p: &PooledVarianceParams) -> Result<[usize; 5], String> {
        if p.accumulate > 1 {
            return Err(format!("accumulate {}: must be 0 or 1", p.accumulate));
        }
        let x = strided(p.clients, p.x_stride, p.n)?;
        Ok([x, x, p.first as usize + p.clients as usize, p.n as usize, p.n as usize])
    }
    fn build(&self, p: &PooledVarianceParams, _class: Class) -> Build {
        Build::plain("fed/pooled_variance.wgsl", linear_grid(p.n, 256, 1))
    }
    fn cost(&self, p: &PooledVarianceParams) -> Cost {
        let n = f64::from(p.clients) * f64::from(p.n);
        Cost { flops: 5.0 * n, bytes: 4.0 * (2.0 * n + 2.0 * f64::from(p.n)) }
    }
    fn at(&self, p: &PooledVarianceParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let mut value = if p.accumulate == 1 { inputs.f(4, index) } else { 0.0 };
        let (mut magnitude, mut lost) = (value.abs(), 0.0);
        for c in 0..p.clients as usize {
            let weight = inputs.f(2, p.first as usize + c);
            if weight != 0.0 {
                let at = c * p.x_stride as usize + index;
                let (variance, distance) = (inputs.f(1, at), inputs.f(0, at) - inputs.f(3, index));
                value += weight * (variance + distance * distance);
                magnitude += (weight * variance).abs() + (weight * distance * distance).abs();
                lost += flushed(&[weight, distance, distance]) + flushed(&[weight, variance]);
            }
        }
        // The difference (twice in its square), the square, its sum with the variance, the product with the weight.
        let roundings = p.clients as usize + 5;
        Some(Eval::within(value, gamma(roundings) * magnitude + lost).over(roundings))
    }
    fn cases(&self) -> Vec<PooledVarianceParams> {
        let p = PooledVarianceParams { clients: 1, n: 1, x_stride: 64, first: 0, accumulate: 0 };
        vec![
            p,
            PooledVarianceParams { clients: 4, n: 515, x_stride: 576, ..p },
            PooledVarianceParams { clients: 3, n: 70, x_stride: 128, first: 2, accumulate: 1 },
            PooledVarianceParams { clients: 20, n: 64, x_stride: 64, accumulate: 1, ..p },
        ]
    }
    fn contents(&self, p: &PooledVarianceParams) -> [Contents; 5] {
        let weights = [1.0f32, 0.5, 0.125, 0.0, 0.75].map(f32::to_bits).to_vec();
        let y = if p.accumulate == 1 { Contents::NORMAL } else { Contents::Nan };
        [Contents::NORMAL, Contents::Positive { scale: 1.0 }, Contents::Words(weights), Contents::NORMAL, y]
    }
    fn exact_on_integers(&self, _: &PooledVarianceParams) -> bool {
        true
    }
}
