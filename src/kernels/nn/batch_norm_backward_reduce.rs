//! The two sums over rows for the norm's backward pass, which are also the gradients of beta and gamma.

use super::rows::{area, depth, locate, reduce_build, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, gamma, strided};

crate::params! {
    /// Parameters of [`BatchNormBackwardReduce`].
    pub struct BatchNormBackwardReduceParams {
        /// Clients.
        clients: u32 in Count,
        /// Rows per client: images times pixels.
        rows: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `dy` and `x`.
        x_stride: u32 in Stride,
        /// Client stride of `mean` and `invstd`.
        stat_stride: u32 in Stride,
        /// Client stride of `sums`.
        sums_stride: u32 in Stride,
        /// Client stride of `dgamma` and `dbeta`.
        grad_stride: u32 in Stride,
        /// Treatment of `dgamma` and `dbeta`: 0 overwrite, 1 add, 2 keep.
        mode: u32 in Range(0, 2),
    }
}

/// sums = (sum dy, sum dy xhat) over rows, xhat = (x - mean) invstd; `mode` decides whether dbeta and dgamma get them.
pub struct BatchNormBackwardReduce;

const SUMS: usize = 4;
const DGAMMA: usize = 5;

/// Sum of one channel; `which` 0: dy, 1: dy xhat.
fn sum(p: &BatchNormBackwardReduceParams, inputs: &Inputs, client: usize, channel: usize, which: usize) -> Eval {
    let stat = client * p.stat_stride as usize + channel;
    let (mean, invstd) = (inputs.f(2, stat), inputs.f(3, stat));
    let (mut value, mut scale, mut lost) = (0.0, 0.0, 0.0);
    for row in 0..p.rows as usize {
        let at = client * p.x_stride as usize + row * p.c as usize + channel;
        let centred = inputs.f(1, at) - mean;
        let factor = if which == 1 { centred * invstd } else { 1.0 };
        lost += if which == 1 { flushed(&[inputs.f(0, at), centred, invstd]) } else { 0.0 };
        value += inputs.f(0, at) * factor;
        scale += (inputs.f(0, at) * factor).abs();
    }
    Eval::within(value, gamma(depth(p.rows) + if which == 1 { 4 } else { 0 }) * scale + lost).over(depth(p.rows))
}

impl Kernel for BatchNormBackwardReduce {
    type Params = BatchNormBackwardReduceParams;
    type Operands = Arity<7>;
    const STEM: &'static str = "nn/batch_norm_backward_reduce";
    const FORMULA: &'static str = "dbeta = sums[0] = sum dy, dgamma = sums[1] = sum dy (x - mean) invstd";
    const BINDINGS: &'static [Binding; 7] = &[
        Binding::read("dy", "[clients][rows][c], client stride x_stride"),
        Binding::read("x", "[clients][rows][c], client stride x_stride"),
        Binding::read("mean", "[clients][c], client stride stat_stride"),
        Binding::read("invstd", "[clients][c], client stride stat_stride"),
        Binding::write("sums", "[clients][2][c], client stride sums_stride"),
        Binding::write("dgamma", "[clients][c], client stride grad_stride"),
        Binding::write("dbeta", "[clients][c], client stride grad_stride"),
    ];
    fn extents(&self, p: &BatchNormBackwardReduceParams) -> Result<[usize; 7], String> {
        if p.mode > 2 {
            return Err(format!("mode {}: must be 0 (overwrite), 1 (add) or 2 (keep)", p.mode));
        }
        let x = strided(p.clients, p.x_stride, area(p.rows, p.c)?)?;
        let stat = strided(p.clients, p.stat_stride, p.c)?;
        let sums = strided(p.clients, p.sums_stride, 2 * p.c)?;
        let grad = strided(p.clients, p.grad_stride, p.c)?;
        Ok([x, x, stat, stat, sums, grad, grad])
    }
    fn build(&self, p: &BatchNormBackwardReduceParams, _class: Class) -> Build {
        reduce_build("nn/batch_norm_backward_reduce.wgsl", p.c, p.clients)
    }
    fn cost(&self, p: &BatchNormBackwardReduceParams) -> Cost {
        let (channels, rows) = (p.clients as f64 * p.c as f64, p.rows as f64);
        let grads = [2.0, 4.0, 0.0][p.mode.min(2) as usize];
        Cost { flops: 4.0 * channels * rows, bytes: 4.0 * channels * (2.0 * rows + 4.0 + grads) }
    }
    fn at(&self, p: &BatchNormBackwardReduceParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        if slot == SUMS {
            let (client, element) = locate(index, p.clients, p.sums_stride, 2 * p.c)?;
            return Some(sum(p, inputs, client, element % p.c as usize, element / p.c as usize));
        }
        let (client, channel) = locate(index, p.clients, p.grad_stride, p.c)?;
        let total = |old: f64| {
            let s = sum(p, inputs, client, channel, usize::from(slot == DGAMMA));
            Eval::within(old + s.value, s.bound + 2.0 * U * (old + s.value).abs())
        };
        match p.mode {
            0 => Some(total(0.0)),
            1 => Some(total(inputs.f(slot, index))),
            _ => None,
        }
    }
    fn cases(&self) -> Vec<BatchNormBackwardReduceParams> {
        [
            (1, 1, 1, 0),
            (2, 33, 5, 1),
            (3, 257, 13, 2),
            (1, 64, 8, 0),
            (2, 300, 12, 1),
            (4, 37, 32, 0),
            (2, 17, 101, 1),
            (1, 1024, 20, 2),
        ]
        .map(|(clients, rows, c, mode)| {
            let (x_stride, stat_stride) = (stride(rows * c, 1), stride(c, 0));
            let (sums_stride, grad_stride) = (stride(2 * c, 0), stride(c, 2));
            BatchNormBackwardReduceParams { clients, rows, c, x_stride, stat_stride, sums_stride, grad_stride, mode }
        })
        .to_vec()
    }
    /// Rows are multiples of 100: mean / std = 1000.
    fn contents(&self, p: &BatchNormBackwardReduceParams) -> [Contents; 7] {
        let (shift, scale) = if p.rows.is_multiple_of(100) { (1e3, 0.01) } else { (0.5, 0.5) };
        let grad = if p.mode == 0 { Contents::Nan } else { Contents::NORMAL };
        [
            Contents::NORMAL,
            Contents::Real { scale: 1.0, shift },
            Contents::Real { scale, shift },
            Contents::Positive { scale: 1.0 },
            Contents::Nan,
            grad.clone(),
            grad,
        ]
    }
    /// Integer dy, x, mean and invstd: every term and partial sum is an integer far below 2^24.
    fn exact_on_integers(&self, _: &BatchNormBackwardReduceParams) -> bool {
        true
    }
}
