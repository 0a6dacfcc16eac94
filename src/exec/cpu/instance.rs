//! Instance norm: the batch norm loops over one image at a time, images in parallel.

use super::Args;
use super::norm::{client_of, moments, rows_of, sum_rows};
use crate::kernels::Params;
use crate::kernels::nn::instance::{InstanceParams, place};
use rayon::prelude::*;

/// Runs `f(client, image, slice)` over every image's `len` words of a read-write operand.
fn images(rows: Vec<&mut [f32]>, len: usize, f: impl Fn(usize, usize, &mut [f32]) + Sync) {
    rows.into_par_iter().enumerate().for_each(|(client, row)| {
        row.par_chunks_mut(len).enumerate().for_each(|(image, words)| f(client, image, words))
    });
}

/// What a read-only operand of [n][words] holds for an image.
fn image_of(all: &[f32], client: usize, stride: u32, image: usize, len: usize) -> &[f32] {
    &all[client * stride as usize + image * len..][..len]
}

impl InstanceParams {
    fn len(&self) -> usize {
        (self.rows * self.c) as usize
    }

    fn pixels<'a>(&self, all: &'a [f32], client: usize, image: usize) -> &'a [f32] {
        image_of(all, client, self.x_stride, image, self.len())
    }

    /// Mean and inverse deviation of an image.
    fn split_stats<'a>(&self, all: &'a [f32], client: usize, image: usize) -> (&'a [f32], &'a [f32]) {
        image_of(all, client, self.stat_stride, image, 2 * self.c as usize).split_at(self.c as usize)
    }

    /// The sums of an image, from `place` on, a row of channels each.
    fn sums<'a>(&self, all: &'a [f32], client: usize, image: usize, place: u32) -> Vec<&'a [f32]> {
        let c = self.c as usize;
        let sums = image_of(all, client, self.moment_stride, image, self.places as usize * c);
        sums[place as usize * c..].chunks(c).collect()
    }

    fn channels<'a>(&self, all: &'a [f32], client: usize) -> &'a [f32] {
        client_of(all, client, self.param_stride, self.c as usize)
    }

    fn write_x<'a>(&self, args: &'a Args, slot: usize) -> Vec<&'a mut [f32]> {
        args.rows_mut(slot, self.clients, self.x_stride, self.n * self.rows * self.c)
    }
}

/// Mean and 1 / sqrt(var + eps) of each image.
pub fn stats(words: &[u32], args: &Args) {
    let p = InstanceParams::from_words(words);
    let (x, c) = (args.f(0), p.c as usize);
    images(args.rows_mut(1, p.clients, p.stat_stride, 2 * p.n * p.c), 2 * c, |client, image, out| {
        let (mean, var) = moments(p.pixels(x, client, image), p.rows as usize, c);
        out[..c].copy_from_slice(&mean);
        out[c..].iter_mut().zip(var).for_each(|(s, v)| *s = 1.0 / (v + p.eps).sqrt());
    });
}

/// y = gamma (x - mean) invstd + beta.
pub fn apply(words: &[u32], args: &Args) {
    let p = InstanceParams::from_words(words);
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

/// moments[place] = sum d, moments[place + 1] = sum d x^.
pub fn backward_reduce(words: &[u32], args: &Args) {
    let p = InstanceParams::from_words(words);
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

/// y = gamma invstd (d - avg d - x^ avg(d x^)).
pub fn backward_apply(words: &[u32], args: &Args) {
    let p = InstanceParams::from_words(words);
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

fn put(to: &mut f32, sum: f64, accumulate: u32) {
    *to = if accumulate == 1 { *to + sum as f32 } else { sum as f32 };
}

/// dbeta and dgamma from the sums of each image.
pub fn param_grad(words: &[u32], args: &Args) {
    let p = InstanceParams::from_words(words);
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

/// moments[4] = sum (u - avg u) (t - avg t).
pub fn second_reduce(words: &[u32], args: &Args) {
    let p = InstanceParams::from_words(words);
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

/// y (+)= -gamma invstd^2 (x^ (s - 3 p q) + q (t - avg t) + p (u - avg u)).
pub fn second_apply(words: &[u32], args: &Args) {
    let p = InstanceParams::from_words(words);
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

/// dgamma (+)= sum over images of invstd (moments[4] - moments[1] moments[3] / rows).
pub fn second_param_grad(words: &[u32], args: &Args) {
    let p = InstanceParams::from_words(words);
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
