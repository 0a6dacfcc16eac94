//! `dgamma (+)= sum over images of invstd (moments[4] - moments[1] moments[3] / rows)`.

use crate::exec::cpu::lib::images::put;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance_norm_second_param_grad::InstanceNormSecondParamGrad;

impl Twin for InstanceNormSecondParamGrad {
    fn run(p: &InstanceParams, args: &Args) {
        for (client, grad) in args.rows_mut(2, p.clients, p.param_stride, p.c).into_iter().enumerate() {
            let mut total = vec![0f64; p.c as usize];
            for image in 0..p.n as usize {
                let (_, invstd) = p.split_stats(args.f(0), client, image);
                let m = p.sums(args.f(1), client, image, 0);
                for (k, total) in total.iter_mut().enumerate() {
                    let product = f64::from(m[1][k]) * f64::from(m[3][k]) / f64::from(p.rows);
                    *total += f64::from(invstd[k]) * (f64::from(m[4][k]) - product);
                }
            }
            grad.iter_mut().zip(total).for_each(|(g, t)| put(g, t, p.accumulate));
        }
    }
}
