//! dbeta and dgamma from the sums of each image.

use crate::exec::cpu::lib::images::put;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance_norm_param_grad::InstanceNormParamGrad;

impl Twin for InstanceNormParamGrad {
    fn run(p: &InstanceParams, args: &Args) {
        for (slot, which) in [(1, 1), (2, 0)] {
            for (client, grad) in args.rows_mut(slot, p.clients, p.param_stride, p.c).into_iter().enumerate() {
                let mut total = vec![0f64; p.c as usize];
                for image in 0..p.n as usize {
                    let sums = p.sums(args.f(0), client, image, p.place)[which];
                    total.iter_mut().zip(sums).for_each(|(t, s)| *t += f64::from(*s));
                }
                grad.iter_mut().zip(total).for_each(|(g, t)| put(g, t, p.accumulate));
            }
        }
    }
}
