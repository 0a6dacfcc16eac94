//! `loss[slot] = scale mean(x)`, `dx = scale / n`; a client's logits are few, so the sum runs in f64 and in order.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::wasserstein_loss::{WassersteinLoss, WassersteinLossParams};

impl Twin for WassersteinLoss {
    fn run(p: &WassersteinLossParams, args: &Args) {
        let losses = args.rows_mut(2, p.clients, p.loss_stride, p.slot + 1);
        for (client, (dx, loss)) in args.rows_mut(1, p.clients, p.dx_stride, p.n).into_iter().zip(losses).enumerate() {
            let x = &args.f(0)[client * p.x_stride as usize..][..p.n as usize];
            let sum: f64 = x.iter().map(|x| f64::from(*x)).sum();
            dx.fill(p.scale / p.n as f32);
            loss[p.slot as usize] = (f64::from(p.scale) * sum / f64::from(p.n)) as f32;
        }
    }
}
