//! y = gamma invstd (d - avg d - x^ avg(d x^)).

use crate::exec::cpu::lib::images::images;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance_norm_backward_apply::InstanceNormBackwardApply;

impl Twin for InstanceNormBackwardApply {
    fn run(p: &InstanceParams, args: &Args) {
        let (d, x, stats, gamma, sums, c) = (args.f(0), args.f(1), args.f(2), args.f(3), args.f(4), p.c as usize);
        let n = p.rows as f32;
        images(p.write_x(args, 5), p.len(), |client, image, y| {
            let (mean, invstd) = p.split_stats(stats, client, image);
            let sums = p.sums(sums, client, image, p.place);
            let scale: Vec<f32> = p.channels(gamma, client).iter().zip(invstd).map(|(g, s)| g * s).collect();
            let avg: Vec<f32> = sums[0].iter().map(|s| s / n).collect();
            let slope: Vec<f32> = sums[1].iter().zip(invstd).map(|(s, i)| i * (s / n)).collect();
            let rows = p.pixels(d, client, image).chunks_exact(c).zip(p.pixels(x, client, image).chunks_exact(c));
            for (y, (d, x)) in y.chunks_exact_mut(c).zip(rows) {
                let operands = d.iter().zip(x).zip(mean).zip(&scale).zip(&avg).zip(&slope);
                for (y, (((((d, x), mean), scale), avg), slope)) in y.iter_mut().zip(operands) {
                    *y = scale * (d - avg - (x - mean) * slope);
                }
            }
        });
    }
}
