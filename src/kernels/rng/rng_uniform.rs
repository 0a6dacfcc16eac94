//! y = uniform numbers.

use super::params::{self, RngParams, STATE};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U};

/// `y[c, i] = a + (b - a) t` with t = (word >> 8) 2^-24 in [0, 1). Rounding may give b if |a| is large relative to b - a.
pub struct RngUniform;

impl Kernel for RngUniform {
    type Params = RngParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "rng/rng_uniform";
    const FORMULA: &'static str = "y = a + (b - a) (bits >> 8) 2^-24";
    const BINDINGS: &'static [Binding; 2] = &[Binding::write("y", "[clients][n], client stride y_stride"), STATE];
    fn extents(&self, p: &RngParams) -> Result<[usize; 2], String> {
        params::extents(p)
    }
    fn build(&self, p: &RngParams, _class: Class) -> Build {
        params::build("rng/rng_uniform.wgsl", p)
    }
    fn cost(&self, p: &RngParams) -> Cost {
        params::cost(p, 4.0)
    }
    fn at(&self, p: &RngParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (block, i) = params::element(p, inputs, index)?;
        let offset = (p.b as f64 - p.a as f64) * (block[i] >> 8) as f64 / 16_777_216.0;
        let value = p.a as f64 + offset;
        // t is exact; b - a, the product and the sum are rounded once each. 1.01 covers products of roundings.
        Some(Eval::within(value, 1.01 * U * (2.0 * offset.abs() + value.abs())))
    }
    fn cases(&self) -> Vec<RngParams> {
        params::cases(-0.75, 2.0)
    }
    fn contents(&self, _: &RngParams) -> [Contents; 2] {
        params::contents()
    }
}
