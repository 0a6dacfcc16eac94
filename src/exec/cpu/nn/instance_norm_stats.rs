//! Mean and 1 / sqrt(var + eps) of each image.

use crate::exec::cpu::lib::images::images;
use crate::exec::cpu::lib::sums::moments;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance_norm_stats::InstanceNormStats;

impl Twin for InstanceNormStats {
    fn run(p: &InstanceParams, args: &Args) {
        let (x, c) = (args.f(0), p.c as usize);
        images(args.rows_mut(1, p.clients, p.stat_stride, 2 * p.n * p.c), 2 * c, |client, image, out| {
            let (mean, var) = moments(p.pixels(x, client, image), p.rows as usize, c);
            out[..c].copy_from_slice(&mean);
            out[c..].iter_mut().zip(var).for_each(|(s, v)| *s = 1.0 / (v + p.eps).sqrt());
        });
    }
}
