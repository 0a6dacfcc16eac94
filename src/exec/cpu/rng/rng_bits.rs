//! y = the words themselves.

use crate::exec::cpu::lib::blocks::blocks;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::rng::RngParams;
use crate::kernels::rng::rng_bits::RngBits;

impl Twin for RngBits {
    fn run(p: &RngParams, args: &Args) {
        blocks(p, args.u(1), args.rows_mut_u32(0, p.clients, p.y_stride, p.n), |block| block);
    }
}
