//! y = gamma (x - mean) invstd + beta.

use crate::exec::cpu::lib::images::images;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance_norm_apply::InstanceNormApply;

impl Twin for InstanceNormApply {
    fn run(p: &InstanceParams, args: &Args) {
        let (x, stats, gamma, beta, c) = (args.f(0), args.f(1), args.f(2), args.f(3), p.c as usize);
        images(p.write_x(args, 4), p.len(), |client, image, y| {
            let (mean, invstd) = p.split_stats(stats, client, image);
            let scale: Vec<f32> = p.channels(gamma, client).iter().zip(invstd).map(|(g, s)| g * s).collect();
            let beta = p.channels(beta, client);
            for (y, x) in y.chunks_exact_mut(c).zip(p.pixels(x, client, image).chunks_exact(c)) {
                for (y, (((x, mean), scale), beta)) in y.iter_mut().zip(x.iter().zip(mean).zip(&scale).zip(beta)) {
                    *y = (x - mean) * scale + beta;
                }
            }
        });
    }
}
