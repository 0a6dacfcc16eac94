//! The mean of a range of each coordinate's sorted values: trimmed mean and median.

use super::ranks::{SHAPES, mean, rank_build, rank_extents, sorted, taken, taken_contents, values};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel};

crate::params! {
    /// Parameters of [`TrimmedMean`].
    pub struct TrimmedMeanParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
    }
}

/// `y[k] = base[k] + mean of x[c, k] - base[k]` over the values at places `window[0]` to `window[1]` of the coordinate's values in
/// ascending order, those of the `taken` clients. One place gives that client's value to the bit. f values cut at both ends give
/// the trimmed mean, all but the middle one or two the median (Yin et al. 2018).
pub struct TrimmedMean;

/// The window of places `first` to `last`.
pub fn window(first: u32, last: u32) -> [u32; 3] {
    [first, last, (1.0 / (last - first + 1) as f32).to_bits()]
}

impl Kernel for TrimmedMean {
    type Params = TrimmedMeanParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "fed/trimmed_mean";
    const FORMULA: &'static str = "y[k] = base[k] + mean of x[c, k] - base[k] over places window[0] to window[1]";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("taken", "[clients], a client of 0 is not read"),
        Binding::read("base", "[n]"),
        Binding::read_u32("window", "[3]: first and last place, bits of the f32 1 / (last - first + 1)"),
        Binding::write("y", "[n]"),
    ];
    fn extents(&self, p: &TrimmedMeanParams) -> Result<[usize; 5], String> {
        rank_extents(p.clients, p.n, p.x_stride, 3)
    }
    fn build(&self, p: &TrimmedMeanParams, _class: Class) -> Build {
        rank_build(p.clients, p.n, "fed/trimmed_mean_network.wgsl", "fed/trimmed_mean_shared.wgsl")
    }
    fn cost(&self, p: &TrimmedMeanParams) -> Cost {
        let (clients, n) = (f64::from(p.clients), f64::from(p.n));
        Cost { flops: 2.0 * clients * n, bytes: 4.0 * (clients * n + 2.0 * n + clients) }
    }
    fn at(&self, p: &TrimmedMeanParams, inputs: &Inputs, _slot: usize, k: usize) -> Option<Eval> {
        let Some(values) = sorted(inputs, p.clients, p.x_stride, k) else { return Some(Eval::exact(f64::NAN)) };
        let (first, last) = (inputs.u(3, 0) as usize, inputs.u(3, 1) as usize);
        Some(mean(&values[first..=last], inputs.f(2, k)))
    }
    fn cases(&self) -> Vec<TrimmedMeanParams> {
        SHAPES.map(|[clients, n, x_stride]| TrimmedMeanParams { clients, n, x_stride }).to_vec()
    }
    fn contents(&self, p: &TrimmedMeanParams) -> [Contents; 5] {
        let most = taken(p.clients) - 1;
        // The median of some cases, a quarter cut at each end of the others.
        let cut = if p.n % 2 == 1 { most / 4 } else { most / 2 };
        let window = Contents::Words(window(cut, most - cut).to_vec());
        [values(p.clients), taken_contents(p.clients), Contents::NORMAL, window, Contents::Nan]
    }
}
