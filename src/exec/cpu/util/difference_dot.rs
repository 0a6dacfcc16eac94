//! `y[c, y_at] = sum of (x[c, i] - reference[i]) (mean[i] - reference[i])`.

use crate::exec::cpu::lib::lanes::lane_sum;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::util::difference_dot::{DifferenceDot, DifferenceDotParams};
use rayon::prelude::*;

impl Twin for DifferenceDot {
    fn run(p: &DifferenceDotParams, args: &Args) {
        let (x, reference, mean) = (args.f(0), args.f(1), args.f(2));
        let rows = args.rows_mut(3, p.clients, p.y_stride, p.y_at + 1);
        rows.into_par_iter().enumerate().for_each(|(c, y)| {
            let x = &x[c * p.x_stride as usize..][..p.n as usize];
            y[p.y_at as usize] = lane_sum(x.len(), |i| (x[i] - reference[i]) * (mean[i] - reference[i]));
        });
    }
}
