//! `y[c, y_at] = max(y[c, y_at], ~i)` for the first i whose exponent bits are all ones.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::util::first_nonfinite::{FirstNonfinite, FirstNonfiniteParams};
use rayon::prelude::*;

impl Twin for FirstNonfinite {
    fn run(p: &FirstNonfiniteParams, args: &Args) {
        /// Words of a block. A branch-free loop finds whether a block has a fault; the position is searched only then.
        const BLOCK: usize = 4096;
        let x = args.u(0);
        let fault = |word: &u32| word & 0x7fff_ffff >= 0x7f80_0000;
        args.rows_mut_u32(1, p.clients, p.y_stride, p.y_at + 1).into_par_iter().enumerate().for_each(|(c, y)| {
            let x = &x[c * p.x_stride as usize..][..p.n as usize];
            let first = x.par_chunks(BLOCK).enumerate().find_map_first(|(at, block)| {
                let any = block.iter().fold(false, |any, word| any | fault(word));
                if any { block.iter().position(fault).map(|i| at * BLOCK + i) } else { None }
            });
            if let Some(i) = first {
                y[p.y_at as usize] = y[p.y_at as usize].max(!(i as u32));
            }
        });
    }
}
