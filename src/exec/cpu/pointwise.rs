//! Activations and the loss. Loops are branch-free, so that the compiler vectorises them: tanh and sigmoid have an exp of
//! their own instead of the scalar library call.

use super::Args;
use crate::kernels::Params;
use crate::kernels::nn::activation::{ActivationParams, kind};
use crate::kernels::nn::activation_backward::ActivationBackwardParams;
use crate::kernels::nn::bce_with_logits::BceParams;
use rayon::prelude::*;

/// Words that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// Runs `f(client, first element, piece)` over pieces of whole rows of `row` words of every client's slice.
pub(super) fn pieces(clients: Vec<&mut [f32]>, row: usize, f: impl Fn(usize, usize, &mut [f32]) + Sync) {
    let len = (PIECE / row).max(1) * row;
    let list: Vec<(usize, usize, &mut [f32])> = clients
        .into_iter()
        .enumerate()
        .flat_map(|(client, all)| all.chunks_mut(len).enumerate().map(move |(i, piece)| (client, i * len, piece)))
        .collect();
    match list.len() {
        1 => list.into_iter().for_each(|(client, start, piece)| f(client, start, piece)),
        _ => list.into_par_iter().for_each(|(client, start, piece)| f(client, start, piece)),
    }
}

/// exp(x) for x in -87..=0 to about an ulp: x = k ln 2 + r, |r| <= ln 2 / 2, a Taylor polynomial of r, times 2^k.
#[inline(always)]
fn exp_negative(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer in the low bits
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let k = shifted - SHIFT;
    // ln 2 in two parts; 355 / 512 has 9 bits, so that k times it is exact
    let r = (x - k * (355.0 / 512.0)) - k * -2.121_944_4e-4;
    let mut series = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * r + c;
    }
    // 2^k from the exponent bits
    series * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// y, but NaN where x is NaN: `min` and comparisons drop it.
#[inline(always)]
fn kept(x: f32, y: f32) -> f32 {
    if x.is_nan() { x } else { y }
}

/// max(x, 0), but NaN of NaN.
#[inline(always)]
pub(super) fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// (1 - e) / (1 + e), e = exp(-2|x|); below 1/2, where that cancels, a + a^3 q(a^2), q fitted to (tanh(a)/a - 1)/a^2.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let a = x.abs().min(15.0);
    let e = exp_negative(-2.0 * a);
    let z = a * a;
    let q = (((-6.942_942e-3 * z + 2.147_068_3e-2) * z - 5.393_346_9e-2) * z + 1.333_322_6e-1) * z - 3.333_333_3e-1;
    let t = if a < 0.5 { a + a * (z * q) } else { (1.0 - e) / (1.0 + e) };
    kept(x, t.copysign(x))
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let e = exp_negative(-x.abs().min(87.0));
    kept(x, (if x < 0.0 { e } else { 1.0 }) / (1.0 + e))
}

/// y = f(x).
pub fn activation(words: &[u32], args: &Args) {
    let p = ActivationParams::from_words(words);
    let (x, slope) = (args.f(0), p.slope);
    pieces(args.rows_mut(1, p.clients, p.y_stride, p.n), 1, |client, start, y| {
        let pairs = y.iter_mut().zip(&x[client * p.x_stride as usize + start..]);
        match p.kind {
            kind::RELU => pairs.for_each(|(y, x)| *y = relu(*x)),
            kind::LEAKY_RELU => pairs.for_each(|(y, x)| *y = if *x > 0.0 { *x } else { slope * x }),
            kind::TANH => pairs.for_each(|(y, x)| *y = tanh(*x)),
            _ => pairs.for_each(|(y, x)| *y = sigmoid(*x)),
        }
    });
}

/// dx = dy f'(x).
pub fn activation_backward(words: &[u32], args: &Args) {
    let p = ActivationBackwardParams::from_words(words);
    let (s, dy, slope) = (args.f(0), args.f(1), p.slope);
    pieces(args.rows_mut(2, p.clients, p.dx_stride, p.n), 1, |client, start, dx| {
        let s = &s[client * p.s_stride as usize + start..][..dx.len()];
        let dy = &dy[client * p.dy_stride as usize + start..][..dx.len()];
        let triples = dx.iter_mut().zip(s.iter().zip(dy));
        match p.kind {
            // Read before the choice: a load behind a condition is not vectorised.
            kind::RELU => triples.for_each(|(dx, (s, dy))| {
                let dy = *dy;
                *dx = if *s <= 0.0 { 0.0 } else { dy };
            }),
            kind::LEAKY_RELU => triples.for_each(|(dx, (s, dy))| *dx = if *s > 0.0 { *dy } else { slope * dy }),
            kind::TANH => triples.for_each(|(dx, (s, dy))| *dx = dy * ((1.0 - s) * (1.0 + s))),
            _ => triples.for_each(|(dx, (s, dy))| *dx = dy * (s * (1.0 - s))),
        }
    });
}

/// Mean loss and gradient; a client's logits are few, so the sum runs in f64 and in order.
pub fn bce_with_logits(words: &[u32], args: &Args) {
    let p = BceParams::from_words(words);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The exp behind tanh and sigmoid, to 2 ulp over its whole range.
    #[test]
    fn exp_is_accurate() {
        for i in 0..=87_000 {
            let x = -(i as f32) / 1000.0;
            let (got, want) = (f64::from(exp_negative(x)), f64::from(x).exp());
            assert!((got - want).abs() <= want * 2.0 * f64::from(f32::EPSILON), "exp({x}) = {got:e}, not {want:e}");
        }
    }

    /// Every element lies in one piece, whole rows together.
    #[test]
    fn pieces_cover_everything() {
        let (mut a, mut b) = (vec![0f32; 3 * 20_000], vec![0f32; 3 * 20_000]);
        pieces(vec![&mut a, &mut b], 3, |client, start, piece| {
            assert!(start % 3 == 0 && piece.len() % 3 == 0);
            piece.iter_mut().enumerate().for_each(|(i, v)| *v += (client * 100_000 + start + i) as f32);
        });
        assert!(a.iter().enumerate().all(|(i, v)| *v == i as f32));
        assert!(b.iter().enumerate().all(|(i, v)| *v == (100_000 + i) as f32));
    }
}
