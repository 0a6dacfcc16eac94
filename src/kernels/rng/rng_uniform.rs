//! y = uniform numbers.

use super::params::{self, RngParams, STATE};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, U};

/// y[c, i] = a + (b - a) t with t = (word >> 8) 2^-24 in [0, 1). Rounding may reach b where |a| is large against b - a.
pub struct RngUniform;

impl Kernel for RngUniform {
    fn name(&self) -> &'static str {
        "rng_uniform"
    }
    fn family(&self) -> &'static str {
        "rng"
    }
    fn formula(&self) -> &'static str {
        "y = a + (b - a) (bits >> 8) 2^-24"
    }
    fn fields(&self) -> &'static [Field] {
        RngParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const { &[Binding::write("y", "[clients][n], client stride y_stride"), STATE] }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        params::extents(words)
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        params::build("rng/rng_uniform.wgsl", words)
    }
    fn cost(&self, words: &[u32]) -> Cost {
        params::cost(words, 4.0)
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = RngParams::from_words(words);
        let (block, i) = params::element(words, inputs, index)?;
        let offset = (p.b as f64 - p.a as f64) * (block[i] >> 8) as f64 / 16_777_216.0;
        let value = p.a as f64 + offset;
        // t is exact; b - a, the product and the sum round once each. 1.01 covers products of roundings.
        Some(Eval::within(value, 1.01 * U * (2.0 * offset.abs() + value.abs())))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        params::cases(-0.75, 2.0)
    }
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        params::fills()
    }
}
