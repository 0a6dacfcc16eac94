//! Mean and deviation of some clients' updates, coordinate by coordinate.

use crate::kernels::fed::ranks::taken_contents;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, gamma, linear_grid, strided,
};

crate::params! {
    /// Parameters of [`BenignMoments`].
    pub struct BenignMomentsParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// What is subtracted from the number of taken clients in the divisor of the variance; the divisor is at least 1.
        ddof: u32 in Range(0, 1),
    }
}

/// With `u[c] = x[c, k] - base[k]` of the `taken` clients, m of them: `mean[k] = sum_c u[c] / m` and
/// `deviation[k] = sqrt(sum_c (u[c] - mean[k])^2 / max(m - ddof, 1))`. A deviation above 1.8e19 is infinite, because squares are
/// summed in f32. At least one client must be taken.
pub struct BenignMoments;

impl Kernel for BenignMoments {
    type Params = BenignMomentsParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "attack/benign_moments";
    const FORMULA: &'static str = "mean[k] = mean_c u[c], deviation[k] = sqrt(sum_c (u[c] - mean[k])^2 / max(m - ddof, 1)), u[c] = x[c, k] - base[k]";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("taken", "[clients], a client of 0 is not read"),
        Binding::read("base", "[n]"),
        Binding::write("mean", "[n]"),
        Binding::write("deviation", "[n]"),
    ];
    fn extents(&self, p: &BenignMomentsParams) -> Result<[usize; 5], String> {
        if p.ddof > 1 {
            return Err(format!("ddof {}: must be 0 or 1", p.ddof));
        }
        let n = p.n as usize;
        Ok([strided(p.clients, p.x_stride, p.n)?, p.clients as usize, n, n, n])
    }
    fn build(&self, p: &BenignMomentsParams, _class: Class) -> Build {
        Build::plain("attack/benign_moments.wgsl", linear_grid(p.n, 256, 1))
    }
    fn cost(&self, p: &BenignMomentsParams) -> Cost {
        let (clients, n) = (f64::from(p.clients), f64::from(p.n));
        Cost { flops: 6.0 * clients * n + 4.0 * n, bytes: 4.0 * (clients * n + 3.0 * n + clients) }
    }
    fn at(&self, p: &BenignMomentsParams, inputs: &Inputs, slot: usize, k: usize) -> Option<Eval> {
        let base = inputs.f(2, k);
        let taken = (0..p.clients as usize).filter(|c| inputs.f(1, *c) != 0.0);
        let updates: Vec<f64> = taken.map(|c| inputs.f(0, c * p.x_stride as usize + k) - base).collect();
        let m = updates.len();
        let mean = updates.iter().sum::<f64>() / m as f64;
        let magnitude = updates.iter().map(|u| u.abs()).sum::<f64>() / m as f64;
        // A difference, the additions, the division of 2.5 ulp = 5 u.
        let mean_bound = gamma(m + 6) * magnitude + flushed(&[1.0, 1.0]);
        if slot == 3 {
            return Some(Eval::within(mean, mean_bound).over(m + 6));
        }
        let square: f64 = updates.iter().map(|u| (u - mean) * (u - mean)).sum();
        let divisor = (m as f64 - f64::from(p.ddof)).max(1.0);
        let value = (square / divisor).sqrt();
        // The computed differences are off by the roundings of u, of the mean and of their own: as a vector, by at most its norm.
        let off = |u: &f64| U * u.abs() + mean_bound + U * ((u - mean).abs() + U * u.abs() + mean_bound);
        let shift = updates.iter().map(|u| off(u).powi(2)).sum::<f64>().sqrt() / divisor.sqrt();
        // Squares, additions and the division round what is under the root; the root is as accurate as 1 / inverseSqrt, 9 u. A
        // square below 2^-126 may be 0.
        let relative = 0.5 * (gamma(m + 1) + 5.0 * U) + 10.0 * U;
        let lost = (m as f64 * f64::from(f32::MIN_POSITIVE)).sqrt();
        Some(Eval::within(value, shift + 1.001 * relative * (value + shift) + lost).over(m + 16))
    }
    fn cases(&self) -> Vec<BenignMomentsParams> {
        [(1, 1, 64, 1), (2, 70, 128, 1), (5, 515, 576, 1), (8, 193, 256, 0), (20, 67, 128, 1)]
            .map(|(clients, n, x_stride, ddof)| BenignMomentsParams { clients, n, x_stride, ddof })
            .to_vec()
    }
    fn contents(&self, _: &BenignMomentsParams) -> [Contents; 5] {
        [Contents::NORMAL, taken_contents(65), Contents::NORMAL, Contents::Nan, Contents::Nan]
    }
}
