//! `loss[slot] = lambda mean((||g|| - 1)^2)`.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::gradient_penalty::{GradientPenalty, GradientPenaltyParams};

impl Twin for GradientPenalty {
    fn run(p: &GradientPenaltyParams, args: &Args) {
        let losses = args.rows_mut(1, p.clients, p.loss_stride, p.slot + 1);
        for (client, loss) in losses.into_iter().enumerate() {
            let squares = &args.f(0)[client * p.square_stride as usize..][..p.n as usize];
            let sum: f64 = squares.iter().map(|s| (f64::from(*s).sqrt() - 1.0).powi(2)).sum();
            loss[p.slot as usize] = (f64::from(p.lambda) * sum / f64::from(p.n)) as f32;
        }
    }
}
