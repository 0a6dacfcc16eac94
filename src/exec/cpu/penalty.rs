//! WGAN-GP: interpolation, norms of gradients, the penalty and its direction, the critic's loss.

use super::Args;
use super::pointwise::pieces;
use crate::kernels::Params;
use crate::kernels::nn::gradient_penalty::GradientPenaltyParams;
use crate::kernels::nn::gradient_penalty_seed::GradientPenaltySeedParams;
use crate::kernels::nn::image_square_sum::ImageSquareSumParams;
use crate::kernels::nn::interpolate::InterpolateParams;
use crate::kernels::nn::wasserstein_loss::WassersteinLossParams;
use rayon::prelude::*;

/// y = a x + (1 - a) z.
pub fn interpolate(words: &[u32], args: &Args) {
    let p = InterpolateParams::from_words(words);
    let (x, z, a, len) = (args.f(0), args.f(1), args.f(2), p.len as usize);
    pieces(args.rows_mut(3, p.clients, p.x_stride, p.n * p.len), len, |client, start, y| {
        let at = client * p.x_stride as usize + start;
        let weights = &a[client * p.a_stride as usize + start / len..];
        let images = x[at..].chunks(len).zip(z[at..].chunks(len)).zip(weights);
        for (y, ((x, z), a)) in y.chunks_exact_mut(len).zip(images) {
            y.iter_mut().zip(x.iter().zip(z)).for_each(|(y, (x, z))| *y = a * x + (1.0 - a) * z);
        }
    });
}

/// Additions of f32 before the sum goes on in f64.
const PART: usize = 64;

/// y = sum x^2 over each image.
pub fn image_square_sum(words: &[u32], args: &Args) {
    let p = ImageSquareSumParams::from_words(words);
    let (x, len) = (args.f(0), p.len as usize);
    for (client, y) in args.rows_mut(1, p.clients, p.y_stride, p.n).into_iter().enumerate() {
        let images = x[client * p.x_stride as usize..].par_chunks(len);
        y.par_iter_mut().zip(images).for_each(|(y, x)| {
            let parts = x.chunks(PART).map(|part| f64::from(part.iter().map(|x| x * x).sum::<f32>()));
            *y = parts.sum::<f64>() as f32;
        });
    }
}

/// loss[slot] = lambda mean((||g|| - 1)^2).
pub fn gradient_penalty(words: &[u32], args: &Args) {
    let p = GradientPenaltyParams::from_words(words);
    let losses = args.rows_mut(1, p.clients, p.loss_stride, p.slot + 1);
    for (client, loss) in losses.into_iter().enumerate() {
        let squares = &args.f(0)[client * p.square_stride as usize..][..p.n as usize];
        let sum: f64 = squares.iter().map(|s| (f64::from(*s).sqrt() - 1.0).powi(2)).sum();
        loss[p.slot as usize] = (f64::from(p.lambda) * sum / f64::from(p.n)) as f32;
    }
}

/// v = (2 lambda / n) (||g|| - 1) g / ||g||.
pub fn gradient_penalty_seed(words: &[u32], args: &Args) {
    let p = GradientPenaltySeedParams::from_words(words);
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

/// loss[slot] = scale mean(x), dx = scale / n; a client's logits are few, so the sum runs in f64 and in order.
pub fn wasserstein_loss(words: &[u32], args: &Args) {
    let p = WassersteinLossParams::from_words(words);
    let losses = args.rows_mut(2, p.clients, p.loss_stride, p.slot + 1);
    for (client, (dx, loss)) in args.rows_mut(1, p.clients, p.dx_stride, p.n).into_iter().zip(losses).enumerate() {
        let x = &args.f(0)[client * p.x_stride as usize..][..p.n as usize];
        let sum: f64 = x.iter().map(|x| f64::from(*x)).sum();
        dx.fill(p.scale / p.n as f32);
        loss[p.slot as usize] = (f64::from(p.scale) * sum / f64::from(p.n)) as f32;
    }
}
