//! Batch norm, bias and channel sums. Inner loops run over channels; sums over rows are split into at most [`PARTS`]
//! parts of equal length whatever the number of threads, each summed in f32 and joined in f64 in order.

use super::Args;
use super::pointwise::{pieces, relu};
use crate::kernels::Params;
use crate::kernels::nn::batch_norm_apply::BatchNormApplyParams;
use crate::kernels::nn::batch_norm_backward_apply::BatchNormBackwardApplyParams;
use crate::kernels::nn::batch_norm_backward_reduce::BatchNormBackwardReduceParams;
use crate::kernels::nn::batch_norm_running::BatchNormRunningParams;
use crate::kernels::nn::batch_norm_stats::BatchNormStatsParams;
use crate::kernels::nn::bias_add::BiasAddParams;
use crate::kernels::nn::channel_sum::ChannelSumParams;
use rayon::prelude::*;
use std::ops::Range;

/// Parts of a sum over rows.
const PARTS: usize = 32;
/// Below this many words a client's sum is not worth other threads.
const SMALL: usize = 1 << 14;

/// `width` sums over rows: `add(rows, sums)` adds a range of rows to f32 sums that start at 0.
pub(super) fn sum_rows(rows: usize, c: usize, width: usize, add: impl Fn(Range<usize>, &mut [f32]) + Sync) -> Vec<f64> {
    let len = rows.div_ceil(PARTS);
    let part = |i: usize| {
        let mut sums = vec![0f32; width];
        add(i * len..((i + 1) * len).min(rows), &mut sums);
        sums
    };
    let parts: Vec<Vec<f32>> = if rows * c < SMALL {
        (0..rows.div_ceil(len)).map(part).collect()
    } else {
        (0..rows.div_ceil(len)).into_par_iter().map(part).collect()
    };
    let mut total = vec![0f64; width];
    for sums in &parts {
        total.iter_mut().zip(sums).for_each(|(t, s)| *t += f64::from(*s));
    }
    total
}

/// Elements of client `client` of a read-only operand.
pub(super) fn client_of(all: &[f32], client: usize, stride: u32, len: usize) -> &[f32] {
    &all[client * stride as usize..][..len]
}

pub(super) fn rows_of(x: &[f32], rows: Range<usize>, c: usize) -> std::slice::ChunksExact<'_, f32> {
    x[rows.start * c..rows.end * c].chunks_exact(c)
}

/// `f64::max` drops NaN.
fn not_below_0(v: f64) -> f64 {
    if v < 0.0 { 0.0 } else { v }
}

/// Mean and biased variance of each channel: sums of d = x - first mean and d^2, corrected by avg(d).
pub(super) fn moments(x: &[f32], rows: usize, c: usize) -> (Vec<f32>, Vec<f32>) {
    let n = rows as f64;
    let first: Vec<f32> = sum_rows(rows, c, c, |part, sums| {
        for row in rows_of(x, part, c) {
            sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
        }
    })
    .into_iter()
    .map(|s| (s / n) as f32)
    .collect();
    let sums = sum_rows(rows, c, 2 * c, |part, sums| {
        let (sum_d, sum_d2) = sums.split_at_mut(c);
        for row in rows_of(x, part, c) {
            for (((s, q), x), first) in sum_d.iter_mut().zip(sum_d2.iter_mut()).zip(row).zip(&first) {
                let d = x - first;
                *s += d;
                *q += d * d;
            }
        }
    });
    let shift = |i: usize| sums[i] / n;
    let mean = (0..c).map(|i| (f64::from(first[i]) + shift(i)) as f32).collect();
    let var = (0..c).map(|i| not_below_0(sums[c + i] / n - shift(i) * shift(i)) as f32).collect();
    (mean, var)
}

/// mean and 1 / sqrt(var + eps) of the batch; running statistics of active clients.
pub fn batch_norm_stats(words: &[u32], args: &Args) {
    let p = BatchNormStatsParams::from_words(words);
    let (x, state, steps) = (args.f(0), args.u(5), args.u(6));
    let (rows, c) = (p.rows as usize, p.c as usize);
    let stats = args.rows_mut(1, p.clients, p.stat_stride, p.c).into_iter();
    let stats = stats.zip(args.rows_mut(2, p.clients, p.stat_stride, p.c));
    let running = args.rows_mut(3, p.clients, p.running_stride, p.c).into_iter();
    let running = running.zip(args.rows_mut(4, p.clients, p.running_stride, p.c));
    let clients: Vec<_> = stats.zip(running).enumerate().collect();
    clients.into_par_iter().for_each(|(client, ((mean, invstd), (running_mean, running_var)))| {
        let (m, v) = moments(client_of(x, client, p.x_stride, rows * c), rows, c);
        mean.copy_from_slice(&m);
        invstd.iter_mut().zip(&v).for_each(|(s, v)| *s = 1.0 / (v + p.eps).sqrt());
        if p.update == 1 && state[0] < steps[client] {
            let unbias = (p.rows as f64 / (p.rows as f64 - 1.0)) as f32;
            let keep = 1.0 - p.momentum;
            running_mean.iter_mut().zip(&m).for_each(|(r, m)| *r = keep * *r + p.momentum * m);
            running_var.iter_mut().zip(&v).for_each(|(r, v)| *r = keep * *r + p.momentum * (v * unbias));
        }
    });
}

/// mean and 1 / sqrt(var + eps) of the running statistics.
pub fn batch_norm_running(words: &[u32], args: &Args) {
    let p = BatchNormRunningParams::from_words(words);
    let c = p.c as usize;
    let rows = args.rows_mut(2, p.clients, p.stat_stride, p.c).into_iter();
    for (client, (mean, invstd)) in rows.zip(args.rows_mut(3, p.clients, p.stat_stride, p.c)).enumerate() {
        mean.copy_from_slice(client_of(args.f(0), client, p.running_stride, c));
        let var = client_of(args.f(1), client, p.running_stride, c);
        invstd.iter_mut().zip(var).for_each(|(s, v)| *s = 1.0 / (v + p.eps).sqrt());
    }
}

/// y = gamma (x - mean) invstd + beta.
pub fn batch_norm_apply(words: &[u32], args: &Args) {
    let p = BatchNormApplyParams::from_words(words);
    let (x, mean, beta, c) = (args.f(0), args.f(1), args.f(4), p.c as usize);
    let scale = scales(args.f(3), p.param_stride, args.f(2), p.stat_stride, p.clients, c);
    let slope = p.slope;
    pieces(args.rows_mut(5, p.clients, p.x_stride, p.rows * p.c), c, |client, start, y| {
        let x = &x[client * p.x_stride as usize + start..][..y.len()];
        let mean = client_of(mean, client, p.stat_stride, c);
        let beta = client_of(beta, client, p.param_stride, c);
        for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            let operands = x.iter().zip(mean).zip(&scale[client]).zip(beta);
            for (y, (((x, mean), scale), beta)) in y.iter_mut().zip(operands) {
                *y = (x - mean) * scale + beta;
            }
            // In a loop of its own: chosen in the one above, it is not vectorised and thirty times slower.
            if slope == 0.0 {
                y.iter_mut().for_each(|y| *y = relu(*y));
            } else if slope != 1.0 {
                y.iter_mut().for_each(|y| *y = if *y > 0.0 { *y } else { slope * *y });
            }
        }
    });
}

/// gamma invstd of every client and channel.
fn scales(gamma: &[f32], param: u32, invstd: &[f32], stat: u32, clients: u32, c: usize) -> Vec<Vec<f32>> {
    let one = |client| {
        let pairs = client_of(gamma, client, param, c).iter().zip(client_of(invstd, client, stat, c));
        pairs.map(|(g, s)| g * s).collect()
    };
    (0..clients as usize).map(one).collect()
}

/// sums = (sum dy, sum dy xhat); the gradients of beta and gamma by mode.
pub fn batch_norm_backward_reduce(words: &[u32], args: &Args) {
    let p = BatchNormBackwardReduceParams::from_words(words);
    let (dy, x, mean, invstd) = (args.f(0), args.f(1), args.f(2), args.f(3));
    let (rows, c) = (p.rows as usize, p.c as usize);
    let sums = args.rows_mut(4, p.clients, p.sums_stride, 2 * p.c);
    sums.into_par_iter().enumerate().for_each(|(client, out)| {
        let dy = client_of(dy, client, p.x_stride, rows * c);
        let x = client_of(x, client, p.x_stride, rows * c);
        let mean = client_of(mean, client, p.stat_stride, c);
        let invstd = client_of(invstd, client, p.stat_stride, c);
        let total = sum_rows(rows, c, 2 * c, |part, sums| {
            let (sum_dy, sum_dy_xhat) = sums.split_at_mut(c);
            for (dy, x) in rows_of(dy, part.clone(), c).zip(rows_of(x, part, c)) {
                let operands = dy.iter().zip(x).zip(mean).zip(invstd);
                for ((s, t), (((dy, x), mean), invstd)) in sum_dy.iter_mut().zip(sum_dy_xhat.iter_mut()).zip(operands) {
                    *s += dy;
                    *t += dy * ((x - mean) * invstd);
                }
            }
        });
        out.iter_mut().zip(total).for_each(|(s, t)| *s = t as f32);
    });
    if p.mode == 2 {
        return;
    }
    let sums = args.rows_mut(4, p.clients, p.sums_stride, 2 * p.c);
    for (slot, from) in [(5, c), (6, 0)] {
        for (grad, sums) in args.rows_mut(slot, p.clients, p.grad_stride, p.c).into_iter().zip(&sums) {
            let pairs = grad.iter_mut().zip(&sums[from..from + c]);
            pairs.for_each(|(g, s)| *g = if p.mode == 1 { *g + s } else { *s });
        }
    }
}

/// dx = gamma invstd (dy - sums[0] / rows - xhat sums[1] / rows).
pub fn batch_norm_backward_apply(words: &[u32], args: &Args) {
    let p = BatchNormBackwardApplyParams::from_words(words);
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

/// y += b.
pub fn bias_add(words: &[u32], args: &Args) {
    let p = BiasAddParams::from_words(words);
    let (b, c) = (args.f(0), p.c as usize);
    pieces(args.rows_mut(1, p.clients, p.y_stride, p.rows * p.c), c, |client, _, y| {
        let b = client_of(b, client, p.b_stride, c);
        y.chunks_exact_mut(c).for_each(|y| y.iter_mut().zip(b).for_each(|(y, b)| *y += b));
    });
}

/// y (+)= sum over rows of x.
pub fn channel_sum(words: &[u32], args: &Args) {
    let p = ChannelSumParams::from_words(words);
    let (x, rows, c) = (args.f(0), p.rows as usize, p.c as usize);
    args.rows_mut(1, p.clients, p.y_stride, p.c).into_par_iter().enumerate().for_each(|(client, y)| {
        let x = client_of(x, client, p.x_stride, rows * c);
        let total = sum_rows(rows, c, c, |part, sums| {
            for row in rows_of(x, part, c) {
                sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
            }
        });
        let pairs = y.iter_mut().zip(total);
        pairs.for_each(|(y, t)| *y = if p.accumulate == 1 { *y + t as f32 } else { t as f32 });
    });
}
