//! `y[c] = sum of (x[c, i] - reference[i])^2`.

use crate::exec::cpu::lib::lanes::lane_sum;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::util::difference_norm::{DifferenceNorm, DifferenceNormParams};
use rayon::prelude::*;

impl Twin for DifferenceNorm {
    fn run(p: &DifferenceNormParams, args: &Args) {
        let (x, reference) = (args.f(0), args.f(1));
        args.rows_mut(2, p.clients, p.y_stride, 1).into_par_iter().enumerate().for_each(|(c, y)| {
            let x = &x[c * p.x_stride as usize..][..p.n as usize];
            y[0] = lane_sum(x.len(), |i| (x[i] - reference[i]) * (x[i] - reference[i]));
        });
    }
}
