//! y = f(x). Loops are branch-free so that the compiler vectorises them: tanh and sigmoid have their own exp instead of
//! the scalar library call.

use crate::exec::cpu::lib::pieces::{kept, pieces, relu};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::activation::kind;
use crate::kernels::nn::activation::{Activation, ActivationParams};

impl Twin for Activation {
    fn run(p: &ActivationParams, args: &Args) {
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
}

/// exp(x) for x in `-87..=0` to about an ulp: x = k ln 2 + r, |r| <= ln 2 / 2, a Taylor polynomial of r, times 2^k.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The exp used by tanh and sigmoid is accurate to 2 ulp over its whole range.
    #[test]
    fn exp_is_accurate() {
        for i in 0..=87_000 {
            let x = -(i as f32) / 1000.0;
            let (got, want) = (f64::from(exp_negative(x)), f64::from(x).exp());
            assert!((got - want).abs() <= want * 2.0 * f64::from(f32::EPSILON), "exp({x}) = {got:e}, not {want:e}");
        }
    }
}
