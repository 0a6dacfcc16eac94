//! `y = [y +] sum_c weights[first + c] (variance[c] + (mean[c] - centre)^2)`.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::pooled_variance::{PooledVariance, PooledVarianceParams};

impl Twin for PooledVariance {
    fn run(p: &PooledVarianceParams, args: &Args) {
        let (mean, variance, weights, centre) = (args.f(0), args.f(1), args.f(2), args.f(3));
        let y = args.rows_mut(4, 1, 0, p.n).remove(0);
        if p.accumulate == 0 {
            y.fill(0.0);
        }
        for c in 0..p.clients as usize {
            let (weight, row) = (weights[p.first as usize + c], c * p.x_stride as usize);
            if weight != 0.0 {
                for (i, y) in y.iter_mut().enumerate() {
                    let distance = mean[row + i] - centre[i];
                    *y += weight * (variance[row + i] + distance * distance);
                }
            }
        }
    }
}
