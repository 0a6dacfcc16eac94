//! y = 32 random bits.

use super::params::{self, RngParams, STATE};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel};

/// `y[c, i]` = word i % 4 of Threefry block i / 4 of client c; integers, equal on every device.
pub struct RngBits;

impl Kernel for RngBits {
    type Params = RngParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "rng/rng_bits";
    const FORMULA: &'static str = "y = threefry4x32-20(key, counter)";
    const BINDINGS: &'static [Binding; 2] = &[Binding::write_u32("y", "[clients][n], client stride y_stride"), STATE];
    fn extents(&self, p: &RngParams) -> Result<[usize; 2], String> {
        params::extents(p)
    }
    fn build(&self, p: &RngParams, _class: Class) -> Build {
        params::build("rng/rng_bits.wgsl", p)
    }
    fn cost(&self, p: &RngParams) -> Cost {
        params::cost(p, 0.0)
    }
    fn at(&self, p: &RngParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (block, i) = params::element(p, inputs, index)?;
        Some(Eval::exact(block[i] as f64))
    }
    fn cases(&self) -> Vec<RngParams> {
        params::cases(0.0, 1.0)
    }
    fn contents(&self, _: &RngParams) -> [Contents; 2] {
        params::contents()
    }
}
