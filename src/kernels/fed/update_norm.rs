//! Squared norms of clients' updates without overflow, slice by slice.

use super::pairs::{SLICE, power, slice_depth, sliced, slices};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, MOST_WORDS, flushed, gamma, strided,
};

crate::params! {
    /// Parameters of [`UpdateNorm`].
    pub struct UpdateNormParams {
        /// Clients of `x`.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client c of `x` is client first + c of `y`.
        first: u32 in Range(0, 70),
        /// Clients of `y`.
        all: u32 in Between(|p| [p.first.saturating_add(p.clients), p.first.saturating_add(p.clients).saturating_add(3)]),
    }
}

/// `y[s, 0, first + c] = power`, `y[s, 1, first + c] = sum_k (u[c, k] power)^2` over the coordinates k of slice s, with `u[c, k]` =
/// `x[c, k] - base[k]` and the power of two that brings the slice's largest |u| into [1, 2), within 2^-126 to 2^100.
/// [`NormJoin`](super::norm_join::NormJoin) joins the slices. Updates of any size have a norm, as in LAPACK's `nrm2`.
pub struct UpdateNorm;

impl Kernel for UpdateNorm {
    type Params = UpdateNormParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "fed/update_norm";
    const FORMULA: &'static str = "y[s, ., first + c] = power, sum_k ((x[c, k] - base[k]) power)^2 over slice s";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("base", "[n]"),
        Binding::write("y", "[slices][2][all]: powers of two, sums"),
    ];
    fn extents(&self, p: &UpdateNormParams) -> Result<[usize; 3], String> {
        let x = strided(p.clients, p.x_stride, p.n)?;
        let last = u64::from(p.first) + u64::from(p.clients);
        if u64::from(p.all) < last {
            return Err(format!("all {}: must be at least first + clients, {last}", p.all));
        }
        if slices(p.n) > MAX_GROUPS {
            return Err(format!(
                "{} coordinates: at most {} fit the grid",
                p.n,
                u64::from(MAX_GROUPS) * u64::from(SLICE)
            ));
        }
        let words = 2 * slices(p.n) as usize * p.all as usize;
        if words > MOST_WORDS {
            return Err(format!("{} slices of {} clients exceed a u32 byte index", slices(p.n), p.all));
        }
        Ok([x, p.n as usize, words])
    }
    fn build(&self, p: &UpdateNormParams, _class: Class) -> Build {
        sliced("fed/update_norm.wgsl", [slices(p.n), 1, p.clients])
    }
    fn cost(&self, p: &UpdateNormParams) -> Cost {
        let n = f64::from(p.clients) * f64::from(p.n);
        let words = n + f64::from(p.n) + 2.0 * f64::from(slices(p.n)) * f64::from(p.clients);
        Cost { flops: 5.0 * n, bytes: 4.0 * words }
    }
    fn at(&self, p: &UpdateNormParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let all = p.all as usize;
        let (slice, second, client) = (index / (2 * all), index / all % 2 == 1, index % all);
        let c = client.checked_sub(p.first as usize).filter(|c| *c < p.clients as usize)?;
        let from = slice * SLICE as usize;
        let columns = from..(from + SLICE as usize).min(p.n as usize);
        // A difference of two f32 in f64 is exact, so its rounding to f32 is the device's.
        let update = |k: usize| inputs.f(0, c * p.x_stride as usize + k) - inputs.f(1, k);
        let largest = columns.clone().map(|k| (update(k) as f32).to_bits() & 0x7fff_ffff).max()?;
        let power = f64::from(power(largest));
        if !second {
            return Some(Eval::exact(power));
        }
        let (mut value, mut lost) = (0.0, 0.0);
        for k in columns {
            let scaled = update(k) * power;
            value += scaled * scaled;
            lost += flushed(&[scaled, scaled]) * power.max(1.0);
        }
        // The difference's rounding counts twice in its square, the square is rounded once; all terms are positive.
        let roundings = slice_depth(p.n, 256) + 3;
        Some(Eval::within(value, gamma(roundings) * value + lost).over(roundings))
    }
    fn cases(&self) -> Vec<UpdateNormParams> {
        let p = UpdateNormParams { clients: 1, n: 1, x_stride: 64, first: 0, all: 1 };
        vec![
            p,
            UpdateNormParams { clients: 3, n: 4099, x_stride: 4160, first: 2, all: 6 },
            UpdateNormParams { clients: 2, n: 700, x_stride: 704, all: 2, ..p },
            UpdateNormParams { clients: 4, n: 9000, x_stride: 9024, all: 4, ..p },
            // Values whose squares exceed f32, and values whose squares are 0 in it.
            UpdateNormParams { clients: 2, n: 70, x_stride: 128, all: 2, ..p },
            UpdateNormParams { clients: 2, n: 71, x_stride: 128, all: 2, ..p },
        ]
    }
    fn contents(&self, p: &UpdateNormParams) -> [Contents; 3] {
        if p.n == 700 {
            // The largest magnitude belongs to lane 128, the first of the upper half.
            let value = |i: u32| if i == 128 { 64.0 } else { (i * 7 % 23) as f32 * 0.25 - 2.0 };
            return [Contents::Words((0..704).map(|i| value(i).to_bits()).collect()), Contents::NORMAL, Contents::Nan];
        }
        let scale = match p.n {
            70 => 1e30,
            71 => 1e-25,
            _ => return [Contents::NORMAL, Contents::NORMAL, Contents::Nan],
        };
        let real = Contents::Real { scale, shift: 0.0 };
        [real.clone(), real, Contents::Nan]
    }
}
