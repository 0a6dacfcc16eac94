//! The weighted mean over clients.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, linear_grid, strided,
};

crate::params! {
    /// Parameters of [`WeightedMean`].
    pub struct WeightedMeanParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client c has weight `weights[first + c]`.
        first: u32 in Range(0, 70),
        /// 1 adds to the old `y`, 0 starts from 0.
        accumulate: u32 in Range(0, 1),
    }
}

/// `y[i] = (accumulate ? y[i] : 0) + sum_c weights[first + c] x[c, i]`, in client order; weights are used as given, not
/// renormalised. A client of weight 0 is not read, so that its NaN does not spread.
pub struct WeightedMean;

impl Kernel for WeightedMean {
    type Params = WeightedMeanParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "fed/weighted_mean";
    const FORMULA: &'static str = "y = [y +] sum_c weights[first + c] x[c]";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("weights", "[>= first + clients]"),
        Binding::write("y", "[n]"),
    ];
    fn extents(&self, p: &WeightedMeanParams) -> Result<[usize; 3], String> {
        if p.accumulate > 1 {
            return Err(format!("accumulate {}: must be 0 or 1", p.accumulate));
        }
        Ok([strided(p.clients, p.x_stride, p.n)?, p.first as usize + p.clients as usize, p.n as usize])
    }
    fn build(&self, p: &WeightedMeanParams, _class: Class) -> Build {
        let lanes = if p.n.is_multiple_of(4) { 4 } else { 1 };
        let grid = linear_grid(p.n, 256 * lanes, 1);
        Build { file: "fed/weighted_mean.wgsl", consts: vec![("V", lanes)], grid }
    }
    fn cost(&self, p: &WeightedMeanParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 2.0 * n, bytes: 4.0 * n + 4.0 * p.n as f64 }
    }
    fn at(&self, p: &WeightedMeanParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let mut value = if p.accumulate == 1 { inputs.f(2, index) } else { 0.0 };
        let (mut magnitude, mut lost) = (value.abs(), 0.0);
        for c in 0..p.clients as usize {
            let weight = inputs.f(1, p.first as usize + c);
            if weight != 0.0 {
                let x = inputs.f(0, c * p.x_stride as usize + index);
                let term = weight * x;
                lost += flushed(&[weight, x]);
                value += term;
                magnitude += term.abs();
            }
        }
        Some(Eval::within(value, gamma(p.clients as usize + 1) * magnitude + lost).over(p.clients as usize + 1))
    }
    fn cases(&self) -> Vec<WeightedMeanParams> {
        let p = WeightedMeanParams { clients: 1, n: 1, x_stride: 64, first: 0, accumulate: 0 };
        vec![
            p,
            WeightedMeanParams { clients: 4, n: 2052, x_stride: 2112, ..p },
            WeightedMeanParams { clients: 3, n: 517, x_stride: 576, first: 2, accumulate: 1 },
            WeightedMeanParams { clients: 20, n: 64, x_stride: 64, accumulate: 1, ..p },
            // The client without weight contains NaN, and a weight beyond the last would be read from the guard band.
            WeightedMeanParams { clients: 5, n: 70, x_stride: 128, first: 2, accumulate: 0 },
        ]
    }
    fn contents(&self, p: &WeightedMeanParams) -> [Contents; 3] {
        let weights = [1.0f32, 0.5, 0.125, 0.0, 0.75].map(f32::to_bits).to_vec();
        let x = if p.clients == 5 { Contents::Words(unread_client(p, 1)) } else { Contents::NORMAL };
        [x, Contents::Words(weights), if p.accumulate == 1 { Contents::NORMAL } else { Contents::Nan }]
    }
    fn exact_on_integers(&self, _: &WeightedMeanParams) -> bool {
        true
    }
}

/// Small integers, with NaN in the row of client `unread`.
fn unread_client(p: &WeightedMeanParams, unread: u32) -> Vec<u32> {
    let value = |i: u32| if i / p.x_stride == unread { f32::NAN } else { (i % 7) as f32 - 3.0 };
    (0..p.clients * p.x_stride).map(|i| value(i).to_bits()).collect()
}
