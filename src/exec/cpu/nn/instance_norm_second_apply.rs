//! y (+)= -gamma invstd^2 (x^ (s - 3 p q) + q (t - avg t) + p (u - avg u)).

use crate::exec::cpu::lib::images::images;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance_norm_second_apply::InstanceNormSecondApply;

impl Twin for InstanceNormSecondApply {
    fn run(p: &InstanceParams, args: &Args) {
        let (x, t, u, stats) = (args.f(0), args.f(1), args.f(2), args.f(3));
        let (gamma, sums, c, n) = (args.f(4), args.f(5), p.c as usize, p.rows as f32);
        images(p.write_x(args, 6), p.len(), |client, image, y| {
            let (mean, invstd) = p.split_stats(stats, client, image);
            let m = p.sums(sums, client, image, 0);
            let gamma = p.channels(gamma, client);
            let (x, t, u) = (p.pixels(x, client, image), p.pixels(t, client, image), p.pixels(u, client, image));
            for k in 0..c {
                let scale = -gamma[k] * invstd[k] * invstd[k];
                let [avg_t, by_t, avg_u, by_u, cross] = [0, 1, 2, 3, 4].map(|place| m[place][k] / n);
                let slope = invstd[k] * (cross - 3.0 * by_t * by_u);
                for i in (k..p.len()).step_by(c) {
                    let sum = (x[i] - mean[k]) * slope + by_u * (t[i] - avg_t) + by_t * (u[i] - avg_u);
                    y[i] = if p.accumulate == 1 { y[i] + scale * sum } else { scale * sum };
                }
            }
        });
    }
}
