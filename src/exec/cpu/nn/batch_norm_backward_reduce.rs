//! sums = (sum dy, sum dy xhat); the gradients of beta and gamma by mode.

use crate::exec::cpu::lib::sums::{client_of, rows_of, sum_rows};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::batch_norm_backward_reduce::{BatchNormBackwardReduce, BatchNormBackwardReduceParams};
use rayon::prelude::*;

impl Twin for BatchNormBackwardReduce {
    fn run(p: &BatchNormBackwardReduceParams, args: &Args) {
        let (dy, x, mean, invstd) = (args.f(0), args.f(1), args.f(2), args.f(3));
        let (rows, c) = (p.rows as usize, p.c as usize);
        let sums = args.rows_mut(4, p.clients, p.sums_stride, 2 * p.c);
        sums.into_par_iter().enumerate().for_each(|(client, out)| {
            let dy = client_of(dy, client, p.x_stride, rows * c);
            let x = client_of(x, client, p.x_stride, rows * c);
            let mean = client_of(mean, client, p.stat_stride, c);
            let invstd = client_of(invstd, client, p.stat_stride, c);
            let total = sum_rows(rows, c, 2 * c, |part, sums| {
                let (sum_dy, sum_dy_xhat) = sums.split_at_mut(c);
                for (dy, x) in rows_of(dy, part.clone(), c).zip(rows_of(x, part, c)) {
                    let operands = dy.iter().zip(x).zip(mean).zip(invstd);
                    for ((s, t), (((dy, x), mean), invstd)) in
                        sum_dy.iter_mut().zip(sum_dy_xhat.iter_mut()).zip(operands)
                    {
                        *s += dy;
                        *t += dy * ((x - mean) * invstd);
                    }
                }
            });
            out.iter_mut().zip(total).for_each(|(s, t)| *s = t as f32);
        });
        if p.mode == 2 {
            return;
        }
        let sums = args.rows_mut(4, p.clients, p.sums_stride, 2 * p.c);
        for (slot, from) in [(5, c), (6, 0)] {
            for (grad, sums) in args.rows_mut(slot, p.clients, p.grad_stride, p.c).into_iter().zip(&sums) {
                let pairs = grad.iter_mut().zip(&sums[from..from + c]);
                pairs.for_each(|(g, s)| *g = if p.mode == 1 { *g + s } else { *s });
            }
        }
    }
}
