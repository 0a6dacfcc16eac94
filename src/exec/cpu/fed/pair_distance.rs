//! `y[s, i, j] = sum_k (x[i, k] - x[j, k])^2` over slice s.

use crate::exec::cpu::lib::pairs::{SquaredDifference, pair_sums};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::pair_distance::{PairDistance, PairDistanceParams};
use crate::kernels::fed::pairs::slices;

impl Twin for PairDistance {
    fn run(p: &PairDistanceParams, args: &Args) {
        let (x, pairs) = (args.f(0), p.clients * p.clients);
        let row = |c: usize| &x[c * p.x_stride as usize..][..p.n as usize];
        let y = args.rows_mut(1, slices(p.n), pairs, pairs);
        pair_sums(p.clients as usize, p.n as usize, row, y, SquaredDifference);
    }
}
