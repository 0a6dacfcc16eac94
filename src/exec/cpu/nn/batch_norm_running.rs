//! mean and 1 / sqrt(var + eps) of the running statistics.

use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::batch_norm_running::{BatchNormRunning, BatchNormRunningParams};

impl Twin for BatchNormRunning {
    fn run(p: &BatchNormRunningParams, args: &Args) {
        let c = p.c as usize;
        let rows = args.rows_mut(2, p.clients, p.stat_stride, p.c).into_iter();
        for (client, (mean, invstd)) in rows.zip(args.rows_mut(3, p.clients, p.stat_stride, p.c)).enumerate() {
            mean.copy_from_slice(client_of(args.f(0), client, p.running_stride, c));
            let var = client_of(args.f(1), client, p.running_stride, c);
            invstd.iter_mut().zip(var).for_each(|(s, v)| *s = 1.0 / (v + p.eps).sqrt());
        }
    }
}
