//! `y[s, i, j] = sum_k u[i, k] u[j, k]` over slice s, `u[c, k] = (x[c, k] - base[k]) power[c]`.

use crate::exec::cpu::lib::pairs::{Product, pair_sums};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::pair_dot::{PairDot, PairDotParams};
use crate::kernels::fed::pairs::slices;
use rayon::prelude::*;

impl Twin for PairDot {
    fn run(p: &PairDotParams, args: &Args) {
        let (x, base, power) = (args.f(0), args.f(1), args.f(2));
        let (n, pairs) = (p.n as usize, p.clients * p.clients);
        let mut updates = vec![0f32; p.clients as usize * n];
        updates.par_chunks_mut(n).enumerate().for_each(|(c, u)| {
            let row = &x[c * p.x_stride as usize..][..n];
            u.iter_mut().zip(row).zip(base).for_each(|((u, x), base)| *u = (x - base) * power[c]);
        });
        let y = args.rows_mut(3, slices(p.n), pairs, pairs);
        pair_sums(p.clients as usize, n, |c| &updates[c * n..][..n], y, Product);
    }
}
