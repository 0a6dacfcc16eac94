//! Between clients and server.

use super::Args;
use crate::kernels::Params;
use crate::kernels::fed::{
    batch_mean::BatchMeanParams, broadcast::BroadcastParams, median_deviation::MedianDeviationParams,
    weighted_mean::WeightedMeanParams,
};
use rayon::prelude::*;

const CHUNK: usize = 8192;

/// y = [y +] sum_c weights[first + c] x[c], every element in client order.
pub fn weighted_mean(words: &[u32], args: &Args) {
    let p = WeightedMeanParams::from_words(words);
    let (x, weights) = (args.f(0), args.f(1));
    let y = args.rows_mut(2, 1, 0, p.n).remove(0);
    y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
        if p.accumulate == 0 {
            y.fill(0.0);
        }
        for c in 0..p.clients as usize {
            let weight = weights[p.first as usize + c];
            if weight != 0.0 {
                let x = &x[c * p.x_stride as usize + chunk * CHUNK..][..y.len()];
                y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
            }
        }
    });
}

/// y[c] = x.
pub fn broadcast(words: &[u32], args: &Args) {
    let p = BroadcastParams::from_words(words);
    let x = &args.u(0)[..p.n as usize];
    args.rows_mut_u32(1, p.clients, p.y_stride, p.n).into_par_iter().for_each(|y| y.copy_from_slice(x));
}

/// y[c] = [y[c] +] scale sum_b x[c, b], every element in the order of the batch.
pub fn batch_mean(words: &[u32], args: &Args) {
    let p = BatchMeanParams::from_words(words);
    let (x, n) = (args.f(0), p.n as usize);
    args.rows_mut(1, p.clients, p.y_stride, p.n).into_par_iter().enumerate().for_each(|(c, y)| {
        let mut sums = vec![0.0f32; n];
        for image in x[c * p.x_stride as usize..][..p.batch as usize * n].chunks_exact(n) {
            sums.iter_mut().zip(image).for_each(|(sum, x)| *sum += x);
        }
        for (y, sum) in y.iter_mut().zip(sums) {
            *y = if p.accumulate == 1 { *y } else { 0.0 } + p.scale * sum;
        }
    });
}

/// y[c] += rate (x[c] - median - y[c]); a NaN is no part of the median and takes no step.
pub fn median_deviation(words: &[u32], args: &Args) {
    let p = MedianDeviationParams::from_words(words);
    let (x, clients) = (args.f(0), p.clients as usize);
    let value = |c: usize, i: usize| x[c * p.x_stride as usize + i];
    let medians: Vec<f32> = (0..p.n as usize)
        .into_par_iter()
        .map_init(Vec::new, |sorted, i| {
            sorted.clear();
            sorted.extend((0..clients).map(|c| value(c, i)).filter(|v| !v.is_nan()));
            sorted.sort_unstable_by(f32::total_cmp);
            // Without a value nobody takes a step.
            let present = sorted.len();
            if present == 0 { 0.0 } else { 0.5 * (sorted[(present - 1) / 2] + sorted[present / 2]) }
        })
        .collect();
    args.rows_mut(1, p.clients, p.y_stride, p.n).into_par_iter().enumerate().for_each(|(c, y)| {
        for (i, (y, median)) in y.iter_mut().zip(&medians).enumerate() {
            let own = value(c, i);
            if !own.is_nan() {
                *y += p.rate * (own - median - *y);
            }
        }
    });
}
