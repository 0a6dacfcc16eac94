//! The mean of the values nearest to each coordinate's median.

use super::ranks::{SHAPES, mean, rank_build, rank_extents, sorted, taken, taken_contents, values};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel};

crate::params! {
    /// Parameters of [`MeanAroundMedian`].
    pub struct MeanAroundMedianParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
    }
}

/// `y[k] = base[k] + mean of x[c, k] - base[k]` over the `window[0]` values of the coordinate that are nearest to its median, of two at
/// equal distance the smaller one; only `taken` clients count. One value is that client's to the bit. Meamed (Xie et al. 2018), and
/// the last step of Bulyan (El Mhamdi et al. 2018).
pub struct MeanAroundMedian;

/// The window of `keep` values.
pub fn window(keep: u32) -> [u32; 2] {
    [keep, (1.0 / keep as f32).to_bits()]
}

/// The first place of the `keep` places nearest to the median of sorted values, with the differences that a device computes in f32.
fn nearest(values: &[f64], keep: usize) -> usize {
    let (low, high) = (values[(values.len() - 1) / 2] as f32, values[values.len() / 2] as f32);
    let median = 0.5 * low + 0.5 * high;
    let mut first = 0;
    while first + keep < values.len() && median - values[first] as f32 > values[first + keep] as f32 - median {
        first += 1;
    }
    first
}

impl Kernel for MeanAroundMedian {
    type Params = MeanAroundMedianParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "fed/mean_around_median";
    const FORMULA: &'static str =
        "y[k] = base[k] + mean of x[c, k] - base[k] over the window[0] values nearest to the median";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("taken", "[clients], a client of 0 is not read"),
        Binding::read("base", "[n]"),
        Binding::read_u32("window", "[2]: number of values, bits of the f32 1 / number"),
        Binding::write("y", "[n]"),
    ];
    fn extents(&self, p: &MeanAroundMedianParams) -> Result<[usize; 5], String> {
        rank_extents(p.clients, p.n, p.x_stride, 2)
    }
    fn build(&self, p: &MeanAroundMedianParams, _class: Class) -> Build {
        rank_build(p.clients, p.n, "fed/mean_around_median_network.wgsl", "fed/mean_around_median_shared.wgsl")
    }
    fn cost(&self, p: &MeanAroundMedianParams) -> Cost {
        let (clients, n) = (f64::from(p.clients), f64::from(p.n));
        Cost { flops: 4.0 * clients * n, bytes: 4.0 * (clients * n + 2.0 * n + clients) }
    }
    fn at(&self, p: &MeanAroundMedianParams, inputs: &Inputs, _slot: usize, k: usize) -> Option<Eval> {
        let Some(values) = sorted(inputs, p.clients, p.x_stride, k) else { return Some(Eval::exact(f64::NAN)) };
        let keep = inputs.u(3, 0) as usize;
        let first = nearest(&values, keep);
        Some(mean(&values[first..first + keep], inputs.f(2, k)))
    }
    fn cases(&self) -> Vec<MeanAroundMedianParams> {
        SHAPES.map(|[clients, n, x_stride]| MeanAroundMedianParams { clients, n, x_stride }).to_vec()
    }
    fn contents(&self, p: &MeanAroundMedianParams) -> [Contents; 5] {
        let taken = taken(p.clients);
        let keep = if p.n % 2 == 1 { taken - taken / 3 } else { 1 };
        [
            values(p.clients),
            taken_contents(p.clients),
            Contents::NORMAL,
            Contents::Words(window(keep).to_vec()),
            Contents::Nan,
        ]
    }
}
