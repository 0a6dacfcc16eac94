//! `y[c] += rate (x[c] - median - y[c])`; NaN is excluded from the median and not updated.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::median_deviation::{MedianDeviation, MedianDeviationParams};
use rayon::prelude::*;

impl Twin for MedianDeviation {
    fn run(p: &MedianDeviationParams, args: &Args) {
        let (x, clients) = (args.f(0), p.clients as usize);
        let value = |c: usize, i: usize| x[c * p.x_stride as usize + i];
        let medians: Vec<f32> = (0..p.n as usize)
            .into_par_iter()
            .map_init(Vec::new, |sorted, i| {
                sorted.clear();
                sorted.extend((0..clients).map(|c| value(c, i)).filter(|v| !v.is_nan()));
                sorted.sort_unstable_by(f32::total_cmp);
                // Without any value no client is updated.
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
}
