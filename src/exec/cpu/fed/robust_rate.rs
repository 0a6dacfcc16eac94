//! `y[k] = base[k] +- sum_c weights[c] (x[c, k] - base[k])`, - where fewer than `threshold` votes agree.

use crate::exec::cpu::lib::CHUNK;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::robust_rate::{RobustRate, RobustRateParams};
use rayon::prelude::*;

impl Twin for RobustRate {
    fn run(p: &RobustRateParams, args: &Args) {
        let (x, weights, base) = (args.f(0), args.f(1), args.f(2));
        let y = args.rows_mut(3, 1, 0, p.n).remove(0);
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            let base = &base[chunk * CHUNK..][..y.len()];
            let mut votes = vec![0i32; y.len()];
            y.fill(0.0);
            for c in (0..p.clients as usize).filter(|c| weights[*c] != 0.0) {
                let x = &x[c * p.x_stride as usize + chunk * CHUNK..][..y.len()];
                for (((y, votes), x), base) in y.iter_mut().zip(&mut votes).zip(x).zip(base) {
                    *votes += i32::from(x > base) - i32::from(x < base);
                    *y += weights[c] * (x - base);
                }
            }
            for ((y, votes), base) in y.iter_mut().zip(votes).zip(base) {
                *y = base + if votes.unsigned_abs() >= p.threshold { *y } else { -*y };
            }
        });
    }
}
