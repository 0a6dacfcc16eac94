//! Running error analysis: a value in f64 with a bound on the error of its f32 evaluation.
//!
//! Every operation adds the error that WGSL's accuracy table allows, and the smallest normal number, because subnormals
//! may be flushed.

use crate::kernels::{U, gamma};
use std::ops::{Add, Div, Mul, Neg, Sub};

const TINY: f64 = f32::MIN_POSITIVE as f64;
/// One ulp, relative to the value, at worst.
pub const ULP: f64 = 2.0 * U;

/// Maximum additions that a term of a reduction over `n` elements passes through: the kernels keep at least 32 partial
/// sums, then add them as a tree.
pub fn depth(n: usize) -> usize {
    n.min(n.div_ceil(32) + 8)
}

/// A value and the largest error of its f32 evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Approx {
    /// The value.
    pub v: f64,
    /// |computed - v| is at most this.
    pub e: f64,
}

impl Approx {
    /// A value that is exact in f32.
    pub fn exact(v: f64) -> Self {
        Approx { v, e: 0.0 }
    }

    /// A value computed elsewhere, with its error.
    pub fn new(v: f64, e: f64) -> Self {
        Approx { v, e }
    }

    /// A number rounded to f32 once (parameters of the cases are f64).
    pub fn rounded(v: f64) -> Self {
        Approx { v, e: (v - v as f32 as f64).abs() }
    }

    /// Adds `ulps` units in the last place of the computed value.
    fn ulps(self, ulps: f64) -> Self {
        Approx { v: self.v, e: self.e + ulps * ULP * (self.v.abs() + self.e) + TINY }
    }

    /// A sum in which each term passes through at most `depth` additions: gamma(depth) sum|terms| and the terms' own
    /// errors.
    pub fn sum(terms: impl IntoIterator<Item = Approx>, depth: usize) -> Self {
        let (mut v, mut scale, mut e) = (0.0, 0.0, 0.0);
        for term in terms {
            v += term.v;
            scale += term.v.abs() + term.e;
            e += term.e;
        }
        Approx { v, e: e + gamma(depth) * scale + TINY }
    }

    /// 1 / sqrt: 2 ulp.
    pub fn inverse_sqrt(self) -> Self {
        let v = 1.0 / self.v.sqrt();
        let low = self.v - self.e;
        Approx { v, e: if low > 0.0 { 1.0 / low.sqrt() - v } else { f64::INFINITY } }.ulps(2.0)
    }

    /// Square root, through 1 / inverseSqrt as WGSL allows.
    pub fn sqrt(self) -> Self {
        let v = self.v.max(0.0).sqrt();
        let low = (self.v - self.e).max(0.0).sqrt();
        let high = (self.v + self.e).max(0.0).sqrt();
        Approx { v, e: (high - v).max(v - low) }.ulps(4.5)
    }

    /// exp: 3 + 2|x| ulp.
    pub fn exp(self) -> Self {
        let v = self.v.exp();
        Approx { v, e: v * self.e.exp_m1() }.ulps(3.0 + 2.0 * (self.v.abs() + self.e))
    }

    /// tanh by (1 - e) / (1 + e), e = exp(-2|x|); below 1/2, where that cancels, by a polynomial accurate to a few ulp.
    /// That is tighter than the 1e-5 that WGSL allows its own tanh, and is the accuracy that the kernel guarantees.
    pub fn tanh(self) -> Self {
        let v = self.v.tanh();
        if self.v.abs() + self.e < 0.5 {
            return Approx { v, e: self.e }.ulps(4.0);
        }
        let z = Approx { v: -2.0 * self.v.abs().min(15.0), e: 2.0 * self.e }.exp();
        let e = ((Approx::exact(1.0) - z) / (Approx::exact(1.0) + z)).e;
        Approx { v, e: e + self.e }
    }

    /// sigmoid, stable on both sides: 1 / (1 + exp(-|x|)), or that times exp(-|x|).
    pub fn sigmoid(self) -> Self {
        let z = Approx { v: -self.v.abs(), e: self.e }.exp();
        let positive = Approx::exact(1.0) / (Approx::exact(1.0) + z);
        let s = if self.v < 0.0 { z * positive } else { positive };
        Approx { v: 1.0 / (1.0 + (-self.v).exp()), e: s.e }
    }
}

impl Neg for Approx {
    type Output = Approx;
    fn neg(self) -> Approx {
        Approx { v: -self.v, e: self.e }
    }
}

impl Add for Approx {
    type Output = Approx;
    fn add(self, o: Approx) -> Approx {
        Approx { v: self.v + o.v, e: self.e + o.e }.ulps(0.5)
    }
}

impl Sub for Approx {
    type Output = Approx;
    fn sub(self, o: Approx) -> Approx {
        self + -o
    }
}

impl Mul for Approx {
    type Output = Approx;
    fn mul(self, o: Approx) -> Approx {
        Approx { v: self.v * o.v, e: self.v.abs() * o.e + o.v.abs() * self.e + self.e * o.e }.ulps(0.5)
    }
}

impl Div for Approx {
    type Output = Approx;
    /// 2.5 ulp. The divisor's error must be below its value; otherwise the error is infinite.
    fn div(self, o: Approx) -> Approx {
        let v = self.v / o.v;
        let low = o.v.abs() - o.e;
        let e = if low > 0.0 { (self.e + v.abs() * o.e) / low } else { f64::INFINITY };
        Approx { v, e }.ulps(2.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fill::Random;

    /// f32 arithmetic on perturbed operands never exceeds the bound, and the bound is not absurdly wide.
    #[test]
    fn bounds_hold_and_are_tight() {
        let mut random = Random::new(1, "approx", &[], 0);
        let mut tightest = f64::INFINITY;
        for _ in 0..2000 {
            let x: Vec<f32> = (0..5).map(|_| random.normal() as f32).collect();
            let a: Vec<Approx> = x.iter().map(|v| Approx::exact(*v as f64)).collect();
            let got = (x[0] * x[1] + x[2]) / (x[3] * x[3] + 1.0) * (x[4] * x[4] + 0.5).sqrt();
            let one = Approx::exact(1.0);
            let want = (a[0] * a[1] + a[2]) / (a[3] * a[3] + one) * (a[4] * a[4] + Approx::exact(0.5)).sqrt();
            assert!((got as f64 - want.v).abs() <= want.e, "{got} {want:?}");
            tightest = tightest.min(want.e / want.v.abs());
            let sigmoid = (a[0] + a[1]).sigmoid();
            let got = 1.0 / (1.0 + (-(x[0] + x[1])).exp());
            assert!((got as f64 - sigmoid.v).abs() <= sigmoid.e && sigmoid.e < 1e-4);
        }
        assert!(tightest < 40.0 * U);
    }

    #[test]
    fn an_uncertain_divisor_has_no_bound() {
        assert!((Approx::exact(1.0) / Approx::new(0.1, 0.2)).e.is_infinite());
    }
}
