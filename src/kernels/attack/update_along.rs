//! Inner products of clients' updates with one direction, slice by slice.

use crate::kernels::fed::pairs::{SLICE, slice_depth, sliced, slices};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, MOST_WORDS, flushed, gamma, strided,
};

crate::params! {
    /// Parameters of [`UpdateAlong`].
    pub struct UpdateAlongParams {
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

/// `y[s, first + c] = sum_k (x[c, k] - base[k]) direction[k]` over the coordinates k of slice s, in a fixed order.
pub struct UpdateAlong;

impl Kernel for UpdateAlong {
    type Params = UpdateAlongParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "attack/update_along";
    const FORMULA: &'static str = "y[s, first + c] = sum_k (x[c, k] - base[k]) direction[k] over slice s";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("base", "[n]"),
        Binding::read("direction", "[n]"),
        Binding::write("y", "[slices][all], slices of 4096 coordinates"),
    ];
    fn extents(&self, p: &UpdateAlongParams) -> Result<[usize; 4], String> {
        let x = strided(p.clients, p.x_stride, p.n)?;
        let last = u64::from(p.first) + u64::from(p.clients);
        if u64::from(p.all) < last {
            return Err(format!("all {}: must be at least first + clients, {last}", p.all));
        }
        if slices(p.n) > MAX_GROUPS {
            let most = u64::from(MAX_GROUPS) * u64::from(SLICE);
            return Err(format!("{} coordinates: at most {most} fit the grid", p.n));
        }
        let words = slices(p.n) as usize * p.all as usize;
        if words > MOST_WORDS {
            return Err(format!("{} slices of {} clients exceed a u32 byte index", slices(p.n), p.all));
        }
        Ok([x, p.n as usize, p.n as usize, words])
    }
    fn build(&self, p: &UpdateAlongParams, _class: Class) -> Build {
        sliced("attack/update_along.wgsl", [slices(p.n), 1, p.clients])
    }
    fn cost(&self, p: &UpdateAlongParams) -> Cost {
        let n = f64::from(p.clients) * f64::from(p.n);
        let words = n + 2.0 * f64::from(p.n) + f64::from(slices(p.n)) * f64::from(p.clients);
        Cost { flops: 3.0 * n, bytes: 4.0 * words }
    }
    fn at(&self, p: &UpdateAlongParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (slice, client) = (index / p.all as usize, index % p.all as usize);
        let c = client.checked_sub(p.first as usize).filter(|c| *c < p.clients as usize)?;
        let from = slice * SLICE as usize;
        let (mut value, mut magnitude, mut lost) = (0.0, 0.0, 0.0);
        for k in from..(from + SLICE as usize).min(p.n as usize) {
            let (u, d) = (inputs.f(0, c * p.x_stride as usize + k) - inputs.f(1, k), inputs.f(2, k));
            value += u * d;
            magnitude += (u * d).abs();
            lost += flushed(&[u, d]);
        }
        // The difference and its product are rounded once each.
        let roundings = slice_depth(p.n, 256) + 2;
        Some(Eval::within(value, gamma(roundings) * magnitude + lost).over(roundings))
    }
    fn cases(&self) -> Vec<UpdateAlongParams> {
        let p = UpdateAlongParams { clients: 1, n: 1, x_stride: 64, first: 0, all: 1 };
        vec![
            p,
            UpdateAlongParams { clients: 3, n: 4099, x_stride: 4160, first: 2, all: 6 },
            UpdateAlongParams { clients: 2, n: 700, x_stride: 704, all: 2, ..p },
            UpdateAlongParams { clients: 4, n: 9000, x_stride: 9024, all: 4, ..p },
        ]
    }
    fn contents(&self, _: &UpdateAlongParams) -> [Contents; 4] {
        [Contents::NORMAL, Contents::NORMAL, Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &UpdateAlongParams) -> bool {
        true
    }
}
