//! y = 32 random bits.

use super::params::{self, RngParams, STATE};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params};

/// y[c, i] = word i % 4 of the Threefry block i / 4 of client c; integers, equal on every device.
pub struct RngBits;

impl Kernel for RngBits {
    fn name(&self) -> &'static str {
        "rng_bits"
    }
    fn family(&self) -> &'static str {
        "rng"
    }
    fn formula(&self) -> &'static str {
        "y = threefry4x32-20(key, counter)"
    }
    fn fields(&self) -> &'static [Field] {
        RngParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const { &[Binding::write_u32("y", "[clients][n], client stride y_stride"), STATE] }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        params::extents(words)
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        params::build("rng/rng_bits.wgsl", words)
    }
    fn cost(&self, words: &[u32]) -> Cost {
        params::cost(words, 0.0)
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (block, i) = params::element(words, inputs, index)?;
        Some(Eval::exact(block[i] as f64))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        params::cases(0.0, 1.0)
    }
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        params::fills()
    }
}
