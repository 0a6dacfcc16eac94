//! The weighted mean of updates, reversed where too few clients agree on a direction.

use super::sign_majority::votes;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, gamma, linear_grid, strided,
};

crate::params! {
    /// Parameters of [`RobustRate`].
    pub struct RobustRateParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Votes that a direction needs.
        threshold: u32 in Range(1, 5),
    }
}

/// `y[k] = base[k] + r sum_c weights[c] (x[c, k] - base[k])`, with r = 1 where `|sum_c sign(x[c, k] - base[k])| >= threshold` and -1
/// elsewhere (robust learning rate, Ozdayi et al. 2021). A client of weight 0 is part of neither sum.
pub struct RobustRate;

impl Kernel for RobustRate {
    type Params = RobustRateParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "fed/robust_rate";
    const FORMULA: &'static str =
        "y[k] = base[k] +- sum_c weights[c] (x[c, k] - base[k]); - if |sum_c sign(x[c, k] - base[k])| < threshold";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("weights", "[clients], a client of 0 is not read"),
        Binding::read("base", "[n]"),
        Binding::write("y", "[n]"),
    ];
    fn extents(&self, p: &RobustRateParams) -> Result<[usize; 4], String> {
        Ok([strided(p.clients, p.x_stride, p.n)?, p.clients as usize, p.n as usize, p.n as usize])
    }
    fn build(&self, p: &RobustRateParams, _class: Class) -> Build {
        Build::plain("fed/robust_rate.wgsl", linear_grid(p.n, 256, 1))
    }
    fn cost(&self, p: &RobustRateParams) -> Cost {
        let (clients, n) = (f64::from(p.clients), f64::from(p.n));
        Cost { flops: 4.0 * clients * n + n, bytes: 4.0 * (clients * n + 2.0 * n + clients) }
    }
    fn at(&self, p: &RobustRateParams, inputs: &Inputs, _slot: usize, k: usize) -> Option<Eval> {
        let (votes, _) = votes(inputs, [0, 1, 2], p.clients, p.x_stride, k);
        let base = inputs.f(2, k);
        let (mut sum, mut magnitude, mut lost, mut terms) = (0.0, 0.0, 0.0, 0);
        for c in (0..p.clients as usize).filter(|c| inputs.f(1, *c) != 0.0) {
            let (weight, difference) = (inputs.f(1, c), inputs.f(0, c * p.x_stride as usize + k) - base);
            sum += weight * difference;
            magnitude += (weight * difference).abs();
            lost += flushed(&[weight, difference]);
            terms += 1;
        }
        let value = if votes.unsigned_abs() >= u64::from(p.threshold) { base + sum } else { base - sum };
        // A difference, its product, the sum; then the sum with the base.
        Some(Eval::within(value, gamma(terms + 2) * magnitude + U * value.abs() + lost).over(terms + 3))
    }
    fn cases(&self) -> Vec<RobustRateParams> {
        [(1, 1, 64, 1), (2, 70, 128, 2), (5, 515, 576, 3), (8, 193, 256, 4), (20, 67, 128, 5)]
            .map(|(clients, n, x_stride, threshold)| RobustRateParams { clients, n, x_stride, threshold })
            .to_vec()
    }
    fn contents(&self, _: &RobustRateParams) -> [Contents; 4] {
        let weights = [0.5f32, 0.25, 1.0, 0.0, 0.125, 0.75, 0.25].map(f32::to_bits).to_vec();
        [Contents::NORMAL, Contents::Words(weights), Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &RobustRateParams) -> bool {
        true
    }
}
