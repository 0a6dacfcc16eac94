//! `moments[place] = sum d, moments[place + 1] = sum d x^`.

use crate::exec::cpu::lib::images::images;
use crate::exec::cpu::lib::sums::{rows_of, sum_rows};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance_norm_backward_reduce::InstanceNormBackwardReduce;

impl Twin for InstanceNormBackwardReduce {
    fn run(p: &InstanceParams, args: &Args) {
        let (d, x, stats, c) = (args.f(0), args.f(1), args.f(2), p.c as usize);
        let out = args.rows_mut(3, p.clients, p.moment_stride, p.n * p.places * p.c);
        images(out, p.places as usize * c, |client, image, out| {
            let (mean, invstd) = p.split_stats(stats, client, image);
            let (d, x) = (p.pixels(d, client, image), p.pixels(x, client, image));
            let total = sum_rows(p.rows as usize, c, 2 * c, |part, sums| {
                let (sum, sum_xhat) = sums.split_at_mut(c);
                for (d, x) in rows_of(d, part.clone(), c).zip(rows_of(x, part, c)) {
                    let operands = d.iter().zip(x).zip(mean).zip(invstd);
                    for ((s, t), (((d, x), mean), invstd)) in sum.iter_mut().zip(sum_xhat.iter_mut()).zip(operands) {
                        *s += d;
                        *t += d * ((x - mean) * invstd);
                    }
                }
            });
            out[p.place as usize * c..].iter_mut().zip(total).for_each(|(s, t)| *s = t as f32);
        });
    }
}
