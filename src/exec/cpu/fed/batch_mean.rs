//! `y[c] = [y[c] +] scale sum_b x[c, b]`, every element in the order of the batch.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::batch_mean::{BatchMean, BatchMeanParams};
use rayon::prelude::*;

impl Twin for BatchMean {
    fn run(p: &BatchMeanParams, args: &Args) {
        let (x, n) = (args.f(0), p.n as usize);
        args.rows_mut(1, p.clients, p.y_stride, p.n).into_par_iter().enumerate().for_each(|(c, y)| {
            let mut sums = vec![0.0f32; n];
            for image in x[c * p.x_stride as usize..][..p.batch as usize * n].chunks_exact(n) {
                sums.iter_mut().zip(image).for_each(|(sum, x)| *sum += x);
            }
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = if p.accumulate == 1 { *y } else { 0.0 } + p.scale * sum;
            }
        });
    }
}
