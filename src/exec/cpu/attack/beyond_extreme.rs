//! `y[k] = base[k] + min_c u[c] - r[k] w` where the mean is at least 0, `base[k] + max_c u[c] + r[k] w` elsewhere.

use crate::exec::cpu::lib::CHUNK;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::beyond_extreme::{BeyondExtreme, BeyondExtremeParams};
use rayon::prelude::*;

impl Twin for BeyondExtreme {
    fn run(p: &BeyondExtremeParams, args: &Args) {
        let [x, taken, base, mean, r] = [0, 1, 2, 3, 4].map(|slot| args.f(slot));
        let clients: Vec<usize> = (0..p.clients as usize).filter(|c| taken[*c] != 0.0).collect();
        let y = args.rows_mut(5, 1, 0, p.n).remove(0);
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            for (k, y) in (chunk * CHUNK..).zip(y) {
                let value = |c: &usize| x[c * p.x_stride as usize + k];
                if mean[k].is_nan() || clients.iter().any(|c| value(c).is_nan()) {
                    *y = f32::NAN;
                    continue;
                }
                let values = clients.iter().map(value);
                let (side, extreme) = match mean[k] >= 0.0 {
                    true => (-1.0, values.fold(f32::INFINITY, f32::min)),
                    false => (1.0, values.fold(f32::NEG_INFINITY, f32::max)),
                };
                let e = extreme - base[k];
                let rate = if side * e > 0.0 { p.outward } else { p.inward };
                *y = base[k] + (e + side * (r[k] * (rate * e.abs())));
            }
        });
    }
}
