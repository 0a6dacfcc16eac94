//! Adds the parts of a weight gradient in order.

use crate::exec::cpu::lib::conv::add_in_order;
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::split_sum::{SplitSum, SplitSumParams};
use rayon::prelude::*;

impl Twin for SplitSum {
    fn run(p: &SplitSumParams, args: &Args) {
        let n = p.n as usize;
        let x = args.f(0);
        args.rows_mut(1, p.clients, p.y_stride, p.n).into_par_iter().enumerate().for_each(|(c, y)| {
            add_in_order(y, client_of(x, c, p.x_stride, p.splits as usize * n), n, p.accumulate == 1);
        });
    }
}
