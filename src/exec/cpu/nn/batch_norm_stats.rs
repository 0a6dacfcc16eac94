//! mean and 1 / sqrt(var + eps) of the batch; running statistics of active clients.

use crate::exec::cpu::lib::sums::{client_of, moments};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::batch_norm_stats::{BatchNormStats, BatchNormStatsParams};
use rayon::prelude::*;

impl Twin for BatchNormStats {
    fn run(p: &BatchNormStatsParams, args: &Args) {
        let (x, state, steps) = (args.f(0), args.u(5), args.u(6));
        let (rows, c) = (p.rows as usize, p.c as usize);
        let stats = args.rows_mut(1, p.clients, p.stat_stride, p.c).into_iter();
        let stats = stats.zip(args.rows_mut(2, p.clients, p.stat_stride, p.c));
        let running = args.rows_mut(3, p.clients, p.running_stride, p.c).into_iter();
        let running = running.zip(args.rows_mut(4, p.clients, p.running_stride, p.c));
        let clients: Vec<_> = stats.zip(running).enumerate().collect();
        clients.into_par_iter().for_each(|(client, ((mean, invstd), (running_mean, running_var)))| {
            let (m, v) = moments(client_of(x, client, p.x_stride, rows * c), rows, c);
            mean.copy_from_slice(&m);
            invstd.iter_mut().zip(&v).for_each(|(s, v)| *s = 1.0 / (v + p.eps).sqrt());
            if p.update == 1 && state[0] < steps[client] {
                let unbias = (p.rows as f64 / (p.rows as f64 - 1.0)) as f32;
                let keep = 1.0 - p.momentum;
                running_mean.iter_mut().zip(&m).for_each(|(r, m)| *r = keep * *r + p.momentum * m);
                running_var.iter_mut().zip(&v).for_each(|(r, v)| *r = keep * *r + p.momentum * (v * unbias));
            }
        });
    }
}
