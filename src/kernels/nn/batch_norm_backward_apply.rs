//! The gradient of batch norm with respect to its input.

use super::rows::{area, locate, map_build, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, strided};

crate::params! {
    /// Parameters of [`BatchNormBackwardApply`].
    pub struct BatchNormBackwardApplyParams {
        /// Clients.
        clients: u32 in Count,
        /// Rows per client: images times pixels.
        rows: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `dy`, `x` and `dx`.
        x_stride: u32 in Stride,
        /// Client stride of `mean` and `invstd`.
        stat_stride: u32 in Stride,
        /// Client stride of `gamma`.
        param_stride: u32 in Stride,
        /// Client stride of `sums`.
        sums_stride: u32 in Stride,
    }
}

/// `dx = gamma invstd (dy - sums[0] / rows - xhat sums[1] / rows)`, `xhat = (x - mean) invstd`.
pub struct BatchNormBackwardApply;

impl Kernel for BatchNormBackwardApply {
    type Params = BatchNormBackwardApplyParams;
    type Operands = Arity<7>;
    const STEM: &'static str = "nn/batch_norm_backward_apply";
    const FORMULA: &'static str = "dx = gamma invstd (dy - sums[0]/rows - xhat sums[1]/rows), xhat = (x - mean) invstd";
    const BINDINGS: &'static [Binding; 7] = &[
        Binding::read("dy", "[clients][rows][c], client stride x_stride"),
        Binding::read("x", "[clients][rows][c], client stride x_stride"),
        Binding::read("mean", "[clients][c], client stride stat_stride"),
        Binding::read("invstd", "[clients][c], client stride stat_stride"),
        Binding::read("gamma", "[clients][c], client stride param_stride"),
        Binding::read("sums", "[clients][2][c], client stride sums_stride: sum dy, sum dy xhat"),
        Binding::write("dx", "[clients][rows][c], client stride x_stride"),
    ];
    fn extents(&self, p: &BatchNormBackwardApplyParams) -> Result<[usize; 7], String> {
        let x = strided(p.clients, p.x_stride, area(p.rows, p.c)?)?;
        let stat = strided(p.clients, p.stat_stride, p.c)?;
        let param = strided(p.clients, p.param_stride, p.c)?;
        let sums = strided(p.clients, p.sums_stride, 2 * p.c)?;
        Ok([x, x, stat, stat, param, sums, x])
    }
    fn build(&self, p: &BatchNormBackwardApplyParams, _class: Class) -> Build {
        map_build("nn/batch_norm_backward_apply.wgsl", p.rows, p.c, p.clients)
    }
    fn cost(&self, p: &BatchNormBackwardApplyParams) -> Cost {
        let (channels, rows) = (p.clients as f64 * p.c as f64, p.rows as f64);
        Cost { flops: 5.0 * channels * rows, bytes: 4.0 * channels * (3.0 * rows + 5.0) }
    }
    fn at(&self, p: &BatchNormBackwardApplyParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, element) = locate(index, p.clients, p.x_stride, p.rows * p.c)?;
        let (c, rows) = (p.c as usize, p.rows as f64);
        let channel = element % c;
        let stat = client * p.stat_stride as usize + channel;
        let sums = client * p.sums_stride as usize + channel;
        let (dy, x) = (inputs.f(0, index), inputs.f(1, index));
        let (mean, invstd) = (inputs.f(2, stat), inputs.f(3, stat));
        let weight = inputs.f(4, client * p.param_stride as usize + channel);
        let scale = weight * invstd;
        let (a, b) = (inputs.f(5, sums) / rows, (x - mean) * invstd * inputs.f(5, sums + c) / rows);
        // the magnitude before cancellation; two divisions of 2.5 ulp are the least accurate steps
        let size = dy.abs() + a.abs() + b.abs();
        let lost = flushed(&[weight, invstd, x - mean, invstd, inputs.f(5, sums + c) / rows])
            + flushed(&[weight, invstd, size]);
        Some(Eval::within(scale * (dy - a - b), gamma(14) * scale.abs() * size + lost))
    }
    fn cases(&self) -> Vec<BatchNormBackwardApplyParams> {
        [(1, 1, 1), (2, 33, 5), (3, 257, 13), (1, 64, 8), (2, 300, 12), (4, 37, 32), (2, 17, 101), (1, 1024, 20)]
            .map(|(clients, rows, c)| {
                let (x_stride, stat_stride) = (stride(rows * c, 1), stride(c, 0));
                let (param_stride, sums_stride) = (stride(c, 3), stride(2 * c, 1));
                BatchNormBackwardApplyParams { clients, rows, c, x_stride, stat_stride, param_stride, sums_stride }
            })
            .to_vec()
    }
    /// Sums of the magnitude that the rows give; rows are multiples of 100: mean / std = 1000.
    fn contents(&self, p: &BatchNormBackwardApplyParams) -> [Contents; 7] {
        let (shift, scale) = if p.rows.is_multiple_of(100) { (1e3, 0.01) } else { (0.5, 0.5) };
        [
            Contents::NORMAL,
            Contents::Real { scale: 1.0, shift },
            Contents::Real { scale, shift },
            Contents::Positive { scale: 1.0 },
            Contents::Real { scale: 0.1, shift: 1.0 },
            Contents::Real { scale: p.rows as f64, shift: 0.0 },
            Contents::Nan,
        ]
    }
}
