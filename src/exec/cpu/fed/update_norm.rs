//! `y[s, 0, first + c] = power`, `y[s, 1, first + c] = sum_k ((x[c, k] - base[k]) power)^2` over slice s.

use crate::exec::cpu::lib::lanes::lane_sum;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::pairs::{SLICE, power, slices};
use crate::kernels::fed::update_norm::{UpdateNorm, UpdateNormParams};
use rayon::prelude::*;

impl Twin for UpdateNorm {
    fn run(p: &UpdateNormParams, args: &Args) {
        let (x, base, all) = (args.f(0), args.f(1), p.all as usize);
        args.rows_mut(2, slices(p.n), 2 * p.all, 2 * p.all).into_par_iter().enumerate().for_each(|(slice, y)| {
            let columns = slice * SLICE as usize..((slice + 1) * SLICE as usize).min(p.n as usize);
            let base = &base[columns.clone()];
            for c in 0..p.clients as usize {
                let x = &x[c * p.x_stride as usize..][columns.clone()];
                let magnitudes = x.iter().zip(base).map(|(x, base)| (x - base).to_bits() & 0x7fff_ffff);
                let largest = magnitudes.max().unwrap_or(0);
                let power = power(largest);
                let scaled = |k: usize| (x[k] - base[k]) * power;
                let to = p.first as usize + c;
                (y[to], y[all + to]) = (power, lane_sum(x.len(), |k| scaled(k) * scaled(k)));
            }
        });
    }
}
