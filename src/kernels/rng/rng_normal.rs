//! y = normal numbers.

use super::params::{self, RngParams, STATE};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U};
use std::f64::consts::{SQRT_2, TAU};

/// `y[c, i] = a + b z`, z from Box-Muller on words (0, 1) and (2, 3) of each block: u = ((w0 >> 8) + 1) 2^-24 in (0, 1],
/// t = (w1 >> 8) 2^-24, r = sqrt(-2 ln u), z = r cos(2 pi t) for the even and r sin(2 pi t) for the odd element.
/// |z| <= sqrt(48 ln 2) = 5.77.
///
/// WGSL's log and cos have absolute errors of 2^-21 and 2^-11 (log is unusable near 1, where r is small), so shader and
/// CPU function have their own: exact range reductions, then Taylor polynomials with a truncation below 1e-8 relative.
pub struct RngNormal;

/// z of a pair of words (`odd`: the sine), and a bound on the error of its f32 evaluation, in units of the value.
///
/// - s = f / (2 + f), f = m - 1 exact: one rounding and a division (2.5 ulp = 5 u), 6 u; ln m = 2 s (1 + s^2/3 + ...):
///   another 4 u with the polynomial; e ln 2: 2 u; their sum: 1 u. For u >= sqrt(1/2) the exponent is 0, otherwise
///   |e| ln 2 <= L + 0.35 and |ln m| <= 0.35, L = -ln u.
/// - sqrt(2 L): half the relative error of L, and 1/inverseSqrt with 2 + 2.5 ulp <= 10 u.
/// - The quadrant is determined from the integer w1 >> 8, so the angle has two roundings; sin on [-pi/4, pi/4]: 5 u
///   relative; cos: 5 u absolute, at most 7.1 u relative because it is >= sqrt(1/2).
fn box_muller(w0: u32, w1: u32, odd: bool) -> (f64, f64) {
    let u = ((w0 >> 8) + 1) as f64 / 16_777_216.0;
    let turn = (w1 >> 8) as f64 / 16_777_216.0;
    let l = -u.ln();
    if l == 0.0 {
        return (0.0, 0.0);
    }
    let l_error = if u > 0.7072 { 11.0 * l } else { 2.0 * (l + 0.35) + 10.0 * 0.35 + l };
    let trig = match ((w1 >> 8).is_multiple_of(1 << 22), odd) {
        // Multiples of a quarter turn, where f64's own sin and cos give 1e-16 instead of 0.
        (true, _) => [1.0, 0.0, -1.0, 0.0][((w1 >> 30) as usize + if odd { 3 } else { 0 }) % 4],
        (false, false) => (TAU * turn).cos(),
        (false, true) => (TAU * turn).sin(),
    };
    let z = (2.0 * l).sqrt() * trig;
    (z, U * z.abs() * (l_error / (2.0 * l) + 10.0 + 5.0 * SQRT_2 + 1.0))
}

impl Kernel for RngNormal {
    type Params = RngParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "rng/rng_normal";
    const FORMULA: &'static str = "y = a + b z, z = sqrt(-2 ln u) (cos, sin)(2 pi t)";
    const BINDINGS: &'static [Binding; 2] = &[Binding::write("y", "[clients][n], client stride y_stride"), STATE];
    fn extents(&self, p: &RngParams) -> Result<[usize; 2], String> {
        params::extents(p)
    }
    fn build(&self, p: &RngParams, _class: Class) -> Build {
        params::build("rng/rng_normal.wgsl", p)
    }
    fn cost(&self, p: &RngParams) -> Cost {
        params::cost(p, 24.0)
    }
    fn at(&self, p: &RngParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (block, i) = params::element(p, inputs, index)?;
        let (z, z_error) = box_muller(block[i & 2], block[i | 1], i % 2 == 1);
        let (a, b) = (p.a as f64, p.b as f64);
        let value = a + b * z;
        // The product and the sum are rounded once each; 1.01 covers products of roundings and the truncations, and the
        // last term the sign of a zero.
        let bound = b.abs() * z_error + U * ((b * z).abs() + value.abs());
        Some(Eval::within(value, 1.01 * bound + 1e-38))
    }
    fn cases(&self) -> Vec<RngParams> {
        let mut cases = params::cases(0.0, 1.0);
        cases.extend(params::cases(1.0, 0.02).drain(1..2));
        cases
    }
    fn contents(&self, _: &RngParams) -> [Contents; 2] {
        params::contents()
    }
}
