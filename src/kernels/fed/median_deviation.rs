//! Deviation of every client from the clients' median, averaged over launches.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, few_bits, flushed, gamma, linear_grid, split,
    strided,
};

crate::params! {
    /// Parameters of [`MedianDeviation`].
    pub struct MedianDeviationParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// Weight of the newest deviation in the average, in (0, 1].
        rate: f32 in Positive(0.01, 1.0),
    }
}

/// `y[c, i] += rate (x[c, i] - median_c' x[c', i] - y[c, i])`: the exponential average of each client's deviation from
/// the median over all clients (the mean of the two middle values for an even number). NaN is excluded from the median
/// and leaves its own y unchanged.
pub struct MedianDeviation;

impl Kernel for MedianDeviation {
    type Params = MedianDeviationParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "fed/median_deviation";
    const FORMULA: &'static str = "y[c, i] += rate (x[c, i] - median_c' x[c', i] - y[c, i])";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::write("y", "[clients][n], client stride y_stride"),
    ];
    fn extents(&self, p: &MedianDeviationParams) -> Result<[usize; 2], String> {
        if !(p.rate > 0.0 && p.rate <= 1.0) {
            return Err(format!("rate {}: must be in (0, 1]", p.rate));
        }
        Ok([strided(p.clients, p.x_stride, p.n)?, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &MedianDeviationParams, _class: Class) -> Build {
        Build::plain("fed/median_deviation.wgsl", linear_grid(p.n, 1, 1))
    }
    fn cost(&self, p: &MedianDeviationParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: n * (p.clients as f64 + 4.0), bytes: 12.0 * n }
    }
    fn at(&self, p: &MedianDeviationParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        if i >= p.n as usize {
            return None;
        }
        let own = inputs.f(0, c * p.x_stride as usize + i);
        if own.is_nan() {
            return None;
        }
        let values = (0..p.clients as usize).map(|c| inputs.f(0, c * p.x_stride as usize + i));
        let mut sorted: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let (before, rate) = (inputs.f(1, index), p.rate as f64);
        let magnitude = before.abs() + rate * (own.abs() + 0.5 * (low.abs() + high.abs()) + before.abs());
        Some(Eval::within(
            before + rate * (own - 0.5 * (low + high) - before),
            gamma(5) * magnitude + 3.0 * flushed(&[rate]),
        ))
    }
    fn cases(&self) -> Vec<MedianDeviationParams> {
        let p = MedianDeviationParams { clients: 1, n: 1, x_stride: 64, y_stride: 64, rate: 0.5 };
        vec![
            p,
            MedianDeviationParams { clients: 4, n: 513, x_stride: 576, y_stride: 640, ..p },
            MedianDeviationParams { clients: 7, n: 193, x_stride: 256, y_stride: 256, rate: 0.125 },
            MedianDeviationParams { clients: 20, n: 65, x_stride: 128, y_stride: 128, rate: 1.0 },
            // More clients than a software driver lets one invocation compare with each other.
            MedianDeviationParams { clients: 261, n: 3, ..p },
            // More elements than workgroups: a second iteration of the loop.
            MedianDeviationParams { clients: 12, n: 4099, x_stride: 4160, y_stride: 4160, ..p },
            // A rate with many significant bits: every result is rounded.
            MedianDeviationParams { clients: 2, n: 5, rate: 0.3, ..p },
        ]
    }
    fn contents(&self, p: &MedianDeviationParams) -> [Contents; 2] {
        // With enough clients: a tie that decides the median of the six clients with a number; an infinity, and the NaN
        // whose bits are closest to it.
        let missing = f32::from_bits(0x7f80_0001);
        let tied = [0.5, -1.0, missing, 2.0, 0.5, -0.25, f32::INFINITY].map(f32::to_bits).to_vec();
        [if p.clients == 7 { Contents::Words(tied) } else { Contents::NORMAL }, Contents::NORMAL]
    }
    fn exact_on_integers(&self, p: &MedianDeviationParams) -> bool {
        few_bits(p.rate)
    }
}
