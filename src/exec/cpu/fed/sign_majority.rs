//! `y[k] = base[k] + step sign(sum_c sign(x[c, k] - base[k]))`.

use crate::exec::cpu::lib::CHUNK;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::sign_majority::{SignMajority, SignMajorityParams};
use rayon::prelude::*;

impl Twin for SignMajority {
    fn run(p: &SignMajorityParams, args: &Args) {
        let (x, taken, base) = (args.f(0), args.f(1), args.f(2));
        let y = args.rows_mut(3, 1, 0, p.n).remove(0);
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            let base = &base[chunk * CHUNK..][..y.len()];
            // The votes of a coordinate, in its place of y.
            y.iter_mut().zip(base).for_each(|(y, base)| *y = if base.is_nan() { f32::NAN } else { 0.0 });
            for c in (0..p.clients as usize).filter(|c| taken[*c] != 0.0) {
                let x = &x[c * p.x_stride as usize + chunk * CHUNK..][..y.len()];
                for ((y, x), base) in y.iter_mut().zip(x).zip(base) {
                    *y += if x.is_nan() { f32::NAN } else { f32::from(i8::from(x > base) - i8::from(x < base)) };
                }
            }
            for (y, base) in y.iter_mut().zip(base) {
                let sign = if *y == 0.0 { 0.0 } else { y.signum() };
                *y = base + sign * p.step;
            }
        });
    }
}
