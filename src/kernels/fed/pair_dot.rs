//! Inner products of clients' updates.

use super::pairs::{pair_extents, pair_grid, pair_of, slice_depth, sliced, slices};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma};

crate::params! {
    /// Parameters of [`PairDot`].
    pub struct PairDotParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
    }
}

/// `y[s, i, j] = sum_k u[i, k] u[j, k]` over the coordinates k of slice s, with `u[c, k] = (x[c, k] - base[k]) power[c]`, for all pairs
/// of clients and each client with itself, in a fixed order.
pub struct PairDot;

impl Kernel for PairDot {
    type Params = PairDotParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "fed/pair_dot";
    const FORMULA: &'static str =
        "y[s, i, j] = sum_k u[i, k] u[j, k] over slice s, u[c, k] = (x[c, k] - base[k]) power[c]";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("base", "[n]"),
        Binding::read("power", "[clients], powers of two"),
        Binding::write("y", "[slices][clients][clients], slices of 4096 coordinates"),
    ];
    fn extents(&self, p: &PairDotParams) -> Result<[usize; 4], String> {
        let [x, y] = pair_extents(p.clients, p.n, p.x_stride)?;
        Ok([x, p.n as usize, p.clients as usize, y])
    }
    fn build(&self, p: &PairDotParams, _class: Class) -> Build {
        sliced("fed/pair_dot.wgsl", pair_grid(p.clients, p.n, 4))
    }
    fn cost(&self, p: &PairDotParams) -> Cost {
        let (clients, n) = (f64::from(p.clients), f64::from(p.n));
        let words = clients * n + n + clients + f64::from(slices(p.n)) * clients * clients;
        Cost { flops: clients * (clients + 1.0) * n + 2.0 * clients * n, bytes: 4.0 * words }
    }
    fn at(&self, p: &PairDotParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let ([i, j], slice) = pair_of(index, p.clients, p.n);
        let update = |c: usize, k: usize| (inputs.f(0, c * p.x_stride as usize + k) - inputs.f(1, k)) * inputs.f(2, c);
        let (mut value, mut magnitude, mut lost) = (0.0, 0.0, 0.0);
        for k in slice {
            let (a, b) = (update(i, k), update(j, k));
            value += a * b;
            magnitude += (a * b).abs();
            lost += flushed(&[a, b]);
        }
        // Each difference is rounded once, its power of two is exact, and the product is rounded once.
        let roundings = slice_depth(p.n, 64) + 3;
        Some(Eval::within(value, gamma(roundings) * magnitude + lost).over(roundings))
    }
    fn cases(&self) -> Vec<PairDotParams> {
        [(1, 1, 64), (2, 67, 128), (5, 4099, 4160), (9, 130, 192), (8, 8200, 8256)]
            .map(|(clients, n, x_stride)| PairDotParams { clients, n, x_stride })
            .to_vec()
    }
    fn contents(&self, _: &PairDotParams) -> [Contents; 4] {
        let powers = [1.0f32, 0.5, 4.0, 0.25, 2.0, 0.125, 1.0].map(f32::to_bits).to_vec();
        [Contents::NORMAL, Contents::NORMAL, Contents::Words(powers), Contents::Nan]
    }
    fn exact_on_integers(&self, _: &PairDotParams) -> bool {
        true
    }
}
