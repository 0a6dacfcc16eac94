//! `y = [y +] sum_c weights[first + c] x[c]`, every element in client order.

use crate::exec::cpu::lib::CHUNK;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::weighted_mean::{WeightedMean, WeightedMeanParams};
use rayon::prelude::*;

impl Twin for WeightedMean {
    fn run(p: &WeightedMeanParams, args: &Args) {
        let (x, weights) = (args.f(0), args.f(1));
        let y = args.rows_mut(2, 1, 0, p.n).remove(0);
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            if p.accumulate == 0 {
                y.fill(0.0);
            }
            for c in 0..p.clients as usize {
                let weight = weights[p.first as usize + c];
                if weight != 0.0 {
                    let x = &x[c * p.x_stride as usize + chunk * CHUNK..][..y.len()];
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
                }
            }
        });
    }
}
