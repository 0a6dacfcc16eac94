//! Sums over rows. Inner loops run over channels. The rows are split into at most [`PARTS`] parts of equal length,
//! independent of the number of threads; each part is summed in f32, and the parts are joined in f64 in order.

use rayon::prelude::*;
use std::ops::Range;

/// Parts of a sum over rows.
const PARTS: usize = 32;

/// Below this many words per client a sum is not worth a second thread.
const SMALL: usize = 1 << 14;

/// `width` sums over rows: `add(rows, sums)` adds a range of rows to f32 sums that start at 0.
pub(in crate::exec::cpu) fn sum_rows(
    rows: usize,
    c: usize,
    width: usize,
    add: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<f64> {
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
pub(in crate::exec::cpu) fn client_of(all: &[f32], client: usize, stride: u32, len: usize) -> &[f32] {
    &all[client * stride as usize..][..len]
}

pub(in crate::exec::cpu) fn rows_of(x: &[f32], rows: Range<usize>, c: usize) -> std::slice::ChunksExact<'_, f32> {
    x[rows.start * c..rows.end * c].chunks_exact(c)
}

/// `f64::max` drops NaN.
fn not_below_0(v: f64) -> f64 {
    if v < 0.0 { 0.0 } else { v }
}

/// Mean and biased variance of each channel: sums of d = x - first mean and d^2, corrected by avg(d).
pub(in crate::exec::cpu) fn moments(x: &[f32], rows: usize, c: usize) -> (Vec<f32>, Vec<f32>) {
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

/// gamma invstd for every client and channel.
pub(in crate::exec::cpu) fn scales(
    gamma: &[f32],
    param: u32,
    invstd: &[f32],
    stat: u32,
    clients: u32,
    c: usize,
) -> Vec<Vec<f32>> {
    let one = |client| {
        let pairs = client_of(gamma, client, param, c).iter().zip(client_of(invstd, client, stat, c));
        pairs.map(|(g, s)| g * s).collect()
    };
    (0..clients as usize).map(one).collect()
}
