//! `y[., c] = power, sum_s x[s, 1, c] (power / x[s, 0, c])^2` with the least of the powers.

use crate::exec::cpu::lib::lanes::lane_sum;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::norm_join::{NormJoin, NormJoinParams};

impl Twin for NormJoin {
    fn run(p: &NormJoinParams, args: &Args) {
        let (x, clients, slices) = (args.f(0), p.clients as usize, p.slices as usize);
        let y = args.rows_mut(1, 1, 0, 2 * p.clients).remove(0);
        for c in 0..clients {
            let power = (0..slices).map(|s| x[2 * s * clients + c]).fold(f32::INFINITY, f32::min);
            let sum = lane_sum(slices, |s| {
                let ratio = power / x[2 * s * clients + c];
                x[(2 * s + 1) * clients + c] * ratio * ratio
            });
            (y[c], y[clients + c]) = (power, sum);
        }
    }
}
