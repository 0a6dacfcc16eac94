//! v = (2 lambda / n) (||g|| - 1) g / ||g||.

use crate::exec::cpu::lib::pieces::pieces;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::gradient_penalty_seed::{GradientPenaltySeed, GradientPenaltySeedParams};

impl Twin for GradientPenaltySeed {
    fn run(p: &GradientPenaltySeedParams, args: &Args) {
        let (g, squares, len) = (args.f(0), args.f(1), p.len as usize);
        pieces(args.rows_mut(2, p.clients, p.x_stride, p.n * p.len), len, |client, start, v| {
            let squares = &squares[client * p.square_stride as usize + start / len..];
            let g = g[client * p.x_stride as usize + start..].chunks(len);
            for (v, (g, square)) in v.chunks_exact_mut(len).zip(g.zip(squares)) {
                let norm = square.sqrt();
                let share = if norm == 0.0 { 0.0 } else { (norm - 1.0) / norm };
                let scale = 2.0 * p.lambda / p.n as f32 * share;
                v.iter_mut().zip(g).for_each(|(v, g)| *v = scale * g);
            }
        });
    }
}
