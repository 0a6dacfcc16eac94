//! `moments[4] = sum (u - avg u) (t - avg t)`.

use crate::exec::cpu::lib::images::images;
use crate::exec::cpu::lib::sums::{rows_of, sum_rows};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance::place;
use crate::kernels::nn::instance_norm_second_reduce::InstanceNormSecondReduce;

impl Twin for InstanceNormSecondReduce {
    fn run(p: &InstanceParams, args: &Args) {
        let (u, t, c, n) = (args.f(0), args.f(1), p.c as usize, p.rows as f32);
        let out = args.rows_mut(2, p.clients, p.moment_stride, p.n * p.places * p.c);
        images(out, p.places as usize * c, |client, image, sums| {
            let average = |place: u32| -> Vec<f32> { sums[place as usize * c..][..c].iter().map(|s| s / n).collect() };
            let (avg_t, avg_u) = (average(place::TANGENT), average(place::DELTA));
            let (u, t) = (p.pixels(u, client, image), p.pixels(t, client, image));
            let total = sum_rows(p.rows as usize, c, c, |part, sums| {
                for (u, t) in rows_of(u, part.clone(), c).zip(rows_of(t, part, c)) {
                    let operands = u.iter().zip(t).zip(&avg_u).zip(&avg_t);
                    for (s, (((u, t), avg_u), avg_t)) in sums.iter_mut().zip(operands) {
                        *s += (u - avg_u) * (t - avg_t);
                    }
                }
            });
            sums[place::CROSS as usize * c..].iter_mut().zip(total).for_each(|(s, t)| *s = t as f32);
        });
    }
}
