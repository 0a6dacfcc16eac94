//! `y[s, first + c] = sum_k (x[c, k] - base[k]) direction[k]` over slice s.

use crate::exec::cpu::lib::lanes::lane_sum;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::update_along::{UpdateAlong, UpdateAlongParams};
use crate::kernels::fed::pairs::{SLICE, slices};
use rayon::prelude::*;

impl Twin for UpdateAlong {
    fn run(p: &UpdateAlongParams, args: &Args) {
        let (x, base, direction) = (args.f(0), args.f(1), args.f(2));
        let y = args.rows_mut(3, 1, 0, slices(p.n) * p.all).remove(0);
        y.par_chunks_mut(p.all as usize).enumerate().for_each(|(slice, y)| {
            let columns = slice * SLICE as usize..((slice + 1) * SLICE as usize).min(p.n as usize);
            let (base, direction) = (&base[columns.clone()], &direction[columns.clone()]);
            for c in 0..p.clients as usize {
                let x = &x[c * p.x_stride as usize..][columns.clone()];
                y[p.first as usize + c] = lane_sum(x.len(), |k| (x[k] - base[k]) * direction[k]);
            }
        });
    }
}
