//! The mean of a range of each coordinate's sorted values: trimmed mean and median.

use super::ranks::{rank_build, rank_extents, sorted, taken, taken_contents, values};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, gamma};

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
        if first == last {
            return Some(Eval::exact(values[first]));
        }
        let (base, count) = (inputs.f(2, k), last - first + 1);
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for value in &values[first..=last] {
            sum += value - base;
            magnitude += (value - base).abs();
        }
        let (sum, magnitude, rate) = (sum / count as f64, magnitude / count as f64, 1.0 / count as f64);
        // A difference, the sum, the rate's own rounding, its product; then the sum with the base.
        let bound = gamma(count + 3) * magnitude + U * (base + sum).abs() + 3.0 * flushed(&[rate, 1.0]);
        Some(Eval::within(base + sum, bound).over(count + 3))
    }
    fn cases(&self) -> Vec<TrimmedMeanParams> {
        // Networks of 2 to 64 places; one and two places kept; more clients than a network has; more coordinates than groups.
        [
            (1, 1, 64),
            (2, 70, 128),
            (4, 515, 576),
            (7, 193, 256),
            (11, 129, 192),
            (20, 67, 128),
            (33, 65, 128),
            (64, 5, 64),
        ]
        .into_iter()
        .chain([(71, 10, 64), (261, 3, 64)])
        .map(|(clients, n, x_stride)| TrimmedMeanParams { clients, n, x_stride })
        .collect()
    }
    fn contents(&self, p: &TrimmedMeanParams) -> [Contents; 5] {
        let most = taken(p.clients) - 1;
        // The median of some cases, a quarter cut at each end of the others.
        let cut = if p.n % 2 == 1 { most / 4 } else { most / 2 };
        let window = Contents::Words(window(cut, most - cut).to_vec());
        [values(p.clients), taken_contents(p.clients), Contents::NORMAL, window, Contents::Nan]
    }
}
