//! `y[c]` = sum of `x[c, i]` or of its squares.

use crate::exec::cpu::lib::lanes::lane_sum;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::util::reduce_sum::{ReduceSum, ReduceSumParams};
use rayon::prelude::*;

impl Twin for ReduceSum {
    fn run(p: &ReduceSumParams, args: &Args) {
        let x = args.f(0);
        args.rows_mut(1, p.clients, p.y_stride, 1).into_par_iter().enumerate().for_each(|(c, y)| {
            let x = &x[c * p.x_stride as usize..][..p.n as usize];
            y[0] = match p.mode {
                1 => lane_sum(x.len(), |i| x[i] * x[i]),
                _ => lane_sum(x.len(), |i| x[i]),
            };
        });
    }
}
