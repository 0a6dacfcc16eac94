//! y = gamma (x - mean) invstd + beta.

use crate::exec::cpu::lib::pieces::{pieces, relu};
use crate::exec::cpu::lib::sums::{client_of, scales};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::batch_norm_apply::{BatchNormApply, BatchNormApplyParams};

impl Twin for BatchNormApply {
    fn run(p: &BatchNormApplyParams, args: &Args) {
        let (x, mean, beta, c) = (args.f(0), args.f(1), args.f(4), p.c as usize);
        let scale = scales(args.f(3), p.param_stride, args.f(2), p.stat_stride, p.clients, c);
        let slope = p.slope;
        pieces(args.rows_mut(5, p.clients, p.x_stride, p.rows * p.c), c, |client, start, y| {
            let x = &x[client * p.x_stride as usize + start..][..y.len()];
            let mean = client_of(mean, client, p.stat_stride, c);
            let beta = client_of(beta, client, p.param_stride, c);
            for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                let operands = x.iter().zip(mean).zip(&scale[client]).zip(beta);
                for (y, (((x, mean), scale), beta)) in y.iter_mut().zip(operands) {
                    *y = (x - mean) * scale + beta;
                }
                // A separate loop: with the choice inside the loop above it is not vectorised and thirty times slower.
                if slope == 0.0 {
                    y.iter_mut().for_each(|y| *y = relu(*y));
                } else if slope != 1.0 {
                    y.iter_mut().for_each(|y| *y = if *y > 0.0 { *y } else { slope * *y });
                }
            }
        });
    }
}
