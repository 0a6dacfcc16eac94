//! Mean loss and gradient; a client's logits are few, so the sum runs in f64 and in order.

use crate::exec::cpu::lib::pieces::kept;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::bce_with_logits::{BceParams, BceWithLogits};

impl Twin for BceWithLogits {
    fn run(p: &BceParams, args: &Args) {
        let (x, t, n) = (args.f(0), p.target, p.n as f32);
        let losses = args.rows_mut(2, p.clients, p.loss_stride, p.slot + 1);
        for (client, (dx, loss)) in args.rows_mut(1, p.clients, p.dx_stride, p.n).into_iter().zip(losses).enumerate() {
            let mut sum = 0f64;
            for (dx, x) in dx.iter_mut().zip(&x[client * p.x_stride as usize..]) {
                let e = (-x.abs()).exp();
                let q = e / (1.0 + e);
                let weight = if *x > 0.0 { 1.0 - t } else { t };
                sum += f64::from(x.abs() * weight + e.ln_1p());
                *dx = kept(*x, if *x > 0.0 { weight - q } else { q - weight } / n);
            }
            loss[p.slot as usize] = (sum / f64::from(n)) as f32;
        }
    }
}
