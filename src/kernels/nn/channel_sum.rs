//! Sum over the rows of every channel: the gradient of a bias.

use super::rows::{area, depth, locate, reduce_build, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, gamma, strided};

crate::params! {
    /// Parameters of [`ChannelSum`].
    pub struct ChannelSumParams {
        /// Clients.
        clients: u32 in Count,
        /// Rows per client: images times pixels.
        rows: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// 1 adds to the old value, 0 overwrites it.
        accumulate: u32 in Range(0, 1),
    }
}

/// `y[c] = sum over rows of x[row, c]`, or `y[c] +=` that sum.
pub struct ChannelSum;

impl Kernel for ChannelSum {
    type Params = ChannelSumParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "nn/channel_sum";
    const FORMULA: &'static str = "y[c] (+)= sum(row) x[row, c]";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][rows][c], client stride x_stride"),
        Binding::write("y", "[clients][c], client stride y_stride"),
    ];
    fn extents(&self, p: &ChannelSumParams) -> Result<[usize; 2], String> {
        if p.accumulate > 1 {
            return Err(format!("accumulate {}: must be 0 or 1", p.accumulate));
        }
        Ok([strided(p.clients, p.x_stride, area(p.rows, p.c)?)?, strided(p.clients, p.y_stride, p.c)?])
    }
    fn build(&self, p: &ChannelSumParams, _class: Class) -> Build {
        reduce_build("nn/channel_sum.wgsl", p.c, p.clients)
    }
    fn cost(&self, p: &ChannelSumParams) -> Cost {
        let (channels, rows) = (p.clients as f64 * p.c as f64, p.rows as f64);
        Cost { flops: channels * rows, bytes: 4.0 * channels * (rows + 1.0 + p.accumulate as f64) }
    }
    fn at(&self, p: &ChannelSumParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, channel) = locate(index, p.clients, p.y_stride, p.c)?;
        let (mut sum, mut scale) = (0.0, 0.0);
        for row in 0..p.rows as usize {
            let x = inputs.f(0, client * p.x_stride as usize + row * p.c as usize + channel);
            sum += x;
            scale += x.abs();
        }
        let value = if p.accumulate == 1 { inputs.f(1, index) + sum } else { sum };
        Some(Eval::within(value, gamma(depth(p.rows)) * scale + 2.0 * U * value.abs()).over(depth(p.rows)))
    }
    fn cases(&self) -> Vec<ChannelSumParams> {
        [(1, 1, 1, 0), (2, 33, 5, 1), (3, 257, 3, 0), (1, 64, 8, 1), (4, 37, 32, 0), (2, 17, 101, 1), (1, 1024, 20, 0)]
            .map(|(clients, rows, c, accumulate)| {
                let (x_stride, y_stride) = (stride(rows * c, 1), stride(c, 0));
                ChannelSumParams { clients, rows, c, x_stride, y_stride, accumulate }
            })
            .to_vec()
    }
    fn contents(&self, p: &ChannelSumParams) -> [Contents; 2] {
        let accumulate = p.accumulate == 1;
        [Contents::NORMAL, if accumulate { Contents::NORMAL } else { Contents::Nan }]
    }
    fn exact_on_integers(&self, _: &ChannelSumParams) -> bool {
        true
    }
}
