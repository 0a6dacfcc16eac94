//! y (+)= sum over rows of x.

use crate::exec::cpu::lib::sums::{client_of, rows_of, sum_rows};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::channel_sum::{ChannelSum, ChannelSumParams};
use rayon::prelude::*;

impl Twin for ChannelSum {
    fn run(p: &ChannelSumParams, args: &Args) {
        let (x, rows, c) = (args.f(0), p.rows as usize, p.c as usize);
        args.rows_mut(1, p.clients, p.y_stride, p.c).into_par_iter().enumerate().for_each(|(client, y)| {
            let x = client_of(x, client, p.x_stride, rows * c);
            let total = sum_rows(rows, c, c, |part, sums| {
                for row in rows_of(x, part, c) {
                    sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
                }
            });
            let pairs = y.iter_mut().zip(total);
            pairs.for_each(|(y, t)| *y = if p.accumulate == 1 { *y + t as f32 } else { t as f32 });
        });
    }
}
