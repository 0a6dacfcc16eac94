//! y = a + (b - a) t.

use crate::exec::cpu::lib::blocks::{TO_UNIT, blocks};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::rng::RngParams;
use crate::kernels::rng::rng_uniform::RngUniform;

impl Twin for RngUniform {
    fn run(p: &RngParams, args: &Args) {
        blocks(p, args.u(1), args.rows_mut(0, p.clients, p.y_stride, p.n), |block| {
            block.map(|word| p.a + (p.b - p.a) * ((word >> 8) as f32 * TO_UNIT))
        });
    }
}
