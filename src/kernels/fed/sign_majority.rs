//! A step in the direction in which most clients' updates point, coordinate by coordinate.

use super::ranks::taken_contents;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, few_bits, flushed, linear_grid, strided,
};

crate::params! {
    /// Parameters of [`SignMajority`].
    pub struct SignMajorityParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Length of the step.
        step: f32 in Positive(0.001, 10.0),
    }
}

/// `y[k] = base[k] + step sign(sum_c sign(x[c, k] - base[k]))` over the `taken` clients; equal values and a tie have sign 0 (majority
/// vote, Bernstein et al. 2019).
pub struct SignMajority;

/// The sum of the signs of `x[c, k] - base[k]` over the clients that `slot` has, and whether all those numbers are numbers.
pub(super) fn votes(inputs: &Inputs, slots: [usize; 3], clients: u32, x_stride: u32, k: usize) -> (i64, bool) {
    let [x, taken, base] = slots;
    let from = inputs.f(base, k);
    let mut votes = 0;
    let mut known = !from.is_nan();
    for c in (0..clients as usize).filter(|c| inputs.f(taken, *c) != 0.0) {
        let own = inputs.f(x, c * x_stride as usize + k);
        known &= !own.is_nan();
        votes += i64::from(own > from) - i64::from(own < from);
    }
    (votes, known)
}

impl Kernel for SignMajority {
    type Params = SignMajorityParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "fed/sign_majority";
    const FORMULA: &'static str = "y[k] = base[k] + step sign(sum_c sign(x[c, k] - base[k]))";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("taken", "[clients], a client of 0 is not read"),
        Binding::read("base", "[n]"),
        Binding::write("y", "[n]"),
    ];
    fn extents(&self, p: &SignMajorityParams) -> Result<[usize; 4], String> {
        if !(p.step > 0.0 && p.step.is_finite()) {
            return Err(format!("step {}: must be positive and finite", p.step));
        }
        Ok([strided(p.clients, p.x_stride, p.n)?, p.clients as usize, p.n as usize, p.n as usize])
    }
    fn build(&self, p: &SignMajorityParams, _class: Class) -> Build {
        Build::plain("fed/sign_majority.wgsl", linear_grid(p.n, 256, 1))
    }
    fn cost(&self, p: &SignMajorityParams) -> Cost {
        let (clients, n) = (f64::from(p.clients), f64::from(p.n));
        Cost { flops: clients * n + 2.0 * n, bytes: 4.0 * (clients * n + 2.0 * n + clients) }
    }
    fn at(&self, p: &SignMajorityParams, inputs: &Inputs, _slot: usize, k: usize) -> Option<Eval> {
        let (votes, known) = votes(inputs, [0, 1, 2], p.clients, p.x_stride, k);
        if !known {
            return Some(Eval::exact(f64::NAN));
        }
        let value = inputs.f(2, k) + votes.signum() as f64 * f64::from(p.step);
        Some(Eval::within(value, U * value.abs() + flushed(&[1.0])))
    }
    fn cases(&self) -> Vec<SignMajorityParams> {
        [(1, 1, 64, 0.5), (2, 70, 128, 0.25), (5, 515, 576, 0.3), (8, 193, 256, 2.0), (20, 67, 128, 0.5)]
            .map(|(clients, n, x_stride, step)| SignMajorityParams { clients, n, x_stride, step })
            .to_vec()
    }
    fn contents(&self, p: &SignMajorityParams) -> [Contents; 4] {
        [Contents::NORMAL, taken_contents(p.clients), Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, p: &SignMajorityParams) -> bool {
        few_bits(p.step)
    }
}
