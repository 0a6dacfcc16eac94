//! `dx = gamma invstd (dy - sums[0] / rows - xhat sums[1] / rows)`.

use crate::exec::cpu::lib::pieces::pieces;
use crate::exec::cpu::lib::sums::{client_of, scales};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::batch_norm_backward_apply::{BatchNormBackwardApply, BatchNormBackwardApplyParams};

impl Twin for BatchNormBackwardApply {
    fn run(p: &BatchNormBackwardApplyParams, args: &Args) {
        let (dy, x, mean) = (args.f(0), args.f(1), args.f(2));
        let (n, c) = (p.rows as f32, p.c as usize);
        let scale = scales(args.f(4), p.param_stride, args.f(3), p.stat_stride, p.clients, c);
        let factors: Vec<(Vec<f32>, Vec<f32>)> = (0..p.clients as usize)
            .map(|client| {
                let (sum_dy, sum_dy_xhat) = client_of(args.f(5), client, p.sums_stride, 2 * c).split_at(c);
                let invstd = client_of(args.f(3), client, p.stat_stride, c);
                let slope = sum_dy_xhat.iter().zip(invstd).map(|(s, i)| i * (s / n)).collect();
                (sum_dy.iter().map(|s| s / n).collect(), slope)
            })
            .collect();
        pieces(args.rows_mut(6, p.clients, p.x_stride, p.rows * p.c), c, |client, start, dx| {
            let at = client * p.x_stride as usize + start;
            let (dy, x) = (&dy[at..][..dx.len()], &x[at..][..dx.len()]);
            let mean = client_of(mean, client, p.stat_stride, c);
            let (scale, (avg, slope)) = (&scale[client], &factors[client]);
            for ((dx, dy), x) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(c)).zip(x.chunks_exact(c)) {
                let operands = dy.iter().zip(x).zip(mean).zip(scale).zip(avg).zip(slope);
                for (dx, (((((dy, x), mean), scale), avg), slope)) in dx.iter_mut().zip(operands) {
                    *dx = scale * (dy - avg - (x - mean) * slope);
                }
            }
        });
    }
}
