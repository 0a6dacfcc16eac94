//! Values just beyond the extremes of some clients' updates, against their mean.

use crate::kernels::fed::ranks::taken_contents;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, gamma, linear_grid, strided,
};

crate::params! {
    /// Parameters of [`BeyondExtreme`].
    pub struct BeyondExtremeParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Largest distance from an extreme, in its magnitude, where that leads away from 0.
        outward: f32 in Positive(0.1, 4.0),
        /// The same where it leads towards 0.
        inward: f32 in Positive(0.05, 1.0),
    }
}

/// With `u[c] = x[c, k] - base[k]` of the `taken` clients: `y[k] = base[k] + e - r[k] w` with the least of u, e, where
/// `mean[k] >= 0`, and `y[k] = base[k] + e + r[k] w` with the largest elsewhere; w is `outward |e|` if the step leads away from 0,
/// `inward |e|` if it leads towards 0 (Fang et al. 2020, against the median and the trimmed mean).
pub struct BeyondExtreme;

impl Kernel for BeyondExtreme {
    type Params = BeyondExtremeParams;
    type Operands = Arity<6>;
    const STEM: &'static str = "attack/beyond_extreme";
    const FORMULA: &'static str = "y[k] = base[k] + min_c u[c] - r[k] w if mean[k] >= 0, else base[k] + max_c u[c] + r[k] w; u[c] = x[c, k] - base[k]";
    const BINDINGS: &'static [Binding; 6] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("taken", "[clients], a client of 0 is not read; at least one is read"),
        Binding::read("base", "[n]"),
        Binding::read("mean", "[n], the mean of u"),
        Binding::read("r", "[n], within 0 to 1"),
        Binding::write("y", "[n]"),
    ];
    fn extents(&self, p: &BeyondExtremeParams) -> Result<[usize; 6], String> {
        for (name, value) in [("outward", p.outward), ("inward", p.inward)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(format!("{name} {value}: must be positive and finite"));
            }
        }
        let n = p.n as usize;
        Ok([strided(p.clients, p.x_stride, p.n)?, p.clients as usize, n, n, n, n])
    }
    fn build(&self, p: &BeyondExtremeParams, _class: Class) -> Build {
        Build::plain("attack/beyond_extreme.wgsl", linear_grid(p.n, 256, 1))
    }
    fn cost(&self, p: &BeyondExtremeParams) -> Cost {
        let (clients, n) = (f64::from(p.clients), f64::from(p.n));
        Cost { flops: clients * n + 5.0 * n, bytes: 4.0 * (clients * n + 4.0 * n + clients) }
    }
    fn at(&self, p: &BeyondExtremeParams, inputs: &Inputs, _slot: usize, k: usize) -> Option<Eval> {
        let [base, mean, r] = [2, 3, 4].map(|slot| inputs.f(slot, k));
        let taken = (0..p.clients as usize).filter(|c| inputs.f(1, *c) != 0.0);
        let values: Vec<f64> = taken.map(|c| inputs.f(0, c * p.x_stride as usize + k)).collect();
        if mean.is_nan() || values.iter().any(|x| x.is_nan()) {
            return Some(Eval::exact(f64::NAN));
        }
        let side = if mean >= 0.0 { -1.0 } else { 1.0 };
        let extreme = values.iter().copied().fold(-side * f64::INFINITY, if mean >= 0.0 { f64::min } else { f64::max });
        let e = extreme - base;
        let rate = f64::from(if side * e > 0.0 { p.outward } else { p.inward });
        let step = r * rate * e.abs();
        let value = base + e + side * step;
        // A difference, two products, a sum; then the sum with the base.
        let bound = gamma(4) * (e.abs() + step.abs()) + U * value.abs() + flushed(&[r, rate, e]);
        Some(Eval::within(value, bound).over(5))
    }
    fn cases(&self) -> Vec<BeyondExtremeParams> {
        [(1, 1, 64, 1.0), (2, 70, 128, 0.5), (5, 515, 576, 1.0), (8, 193, 256, 2.0), (20, 67, 128, 1.0)]
            .map(|(clients, n, x_stride, outward)| BeyondExtremeParams { clients, n, x_stride, outward, inward: 0.5 })
            .to_vec()
    }
    fn contents(&self, _: &BeyondExtremeParams) -> [Contents; 6] {
        let r = [0.0f32, 0.25, 0.5, 0.875, 0.125, 0.75, 0.375].map(f32::to_bits).to_vec();
        [Contents::NORMAL, taken_contents(65), Contents::NORMAL, Contents::NORMAL, Contents::Words(r), Contents::Nan]
    }
}
