//! Normalises, scales, shifts and rectifies.

use super::rows::{area, locate, map_build, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, strided};

crate::params! {
    /// Parameters of [`BatchNormApply`].
    pub struct BatchNormApplyParams {
        /// Clients.
        clients: u32 in Count,
        /// Rows per client: images times pixels.
        rows: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `x` and `y`.
        x_stride: u32 in Stride,
        /// Client stride of `mean` and `invstd`.
        stat_stride: u32 in Stride,
        /// Client stride of `gamma` and `beta`.
        param_stride: u32 in Stride,
        /// Factor for negative values: 1 keeps them, 0 is ReLU, values in between are leaky ReLU.
        slope: f32 in Real(0.0, 1.0),
    }
}

/// v = gamma (x - mean) invstd + beta, with batch or running statistics; y = v above 0, otherwise slope v. The
/// rectifier after a norm costs nothing here, and its input is never stored: neither gradient needs it.
pub struct BatchNormApply;

impl Kernel for BatchNormApply {
    type Params = BatchNormApplyParams;
    type Operands = Arity<6>;
    const STEM: &'static str = "nn/batch_norm_apply";
    const FORMULA: &'static str = "v = gamma (x - mean) invstd + beta; y = v above 0, otherwise slope v";
    const BINDINGS: &'static [Binding; 6] = &[
        Binding::read("x", "[clients][rows][c], client stride x_stride"),
        Binding::read("mean", "[clients][c], client stride stat_stride"),
        Binding::read("invstd", "[clients][c], client stride stat_stride"),
        Binding::read("gamma", "[clients][c], client stride param_stride"),
        Binding::read("beta", "[clients][c], client stride param_stride"),
        Binding::write("y", "[clients][rows][c], client stride x_stride"),
    ];
    fn extents(&self, p: &BatchNormApplyParams) -> Result<[usize; 6], String> {
        if !(0.0..=1.0).contains(&p.slope) {
            return Err(format!("slope {}: must be within 0 and 1", p.slope));
        }
        let x = strided(p.clients, p.x_stride, area(p.rows, p.c)?)?;
        let stat = strided(p.clients, p.stat_stride, p.c)?;
        let param = strided(p.clients, p.param_stride, p.c)?;
        Ok([x, stat, stat, param, param, x])
    }
    fn build(&self, p: &BatchNormApplyParams, _class: Class) -> Build {
        map_build("nn/batch_norm_apply.wgsl", p.rows, p.c, p.clients)
    }
    fn cost(&self, p: &BatchNormApplyParams) -> Cost {
        let (channels, rows) = (p.clients as f64 * p.c as f64, p.rows as f64);
        Cost { flops: (3.0 + f64::from(p.slope != 1.0)) * channels * rows, bytes: 4.0 * channels * (2.0 * rows + 4.0) }
    }
    fn at(&self, p: &BatchNormApplyParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, element) = locate(index, p.clients, p.x_stride, p.rows * p.c)?;
        let channel = element % p.c as usize;
        let stat = client * p.stat_stride as usize + channel;
        let param = client * p.param_stride as usize + channel;
        let x = inputs.f(0, index);
        let (mean, invstd) = (inputs.f(1, stat), inputs.f(2, stat));
        let (scale, beta) = (inputs.f(3, param), inputs.f(4, param));
        let slope = f64::from(p.slope);
        let term = scale * (x - mean) * invstd;
        let lost = flushed(&[scale, x - mean, invstd, slope]);
        // mean and invstd are operands: x - mean is one rounding; the statistics' bounds cover their conditioning
        let v = term + beta;
        // The rectifier's slope is at most 1 on both sides of 0, so it does not amplify errors; its product adds one
        // rounding.
        if slope == 0.0 && v == f64::NEG_INFINITY {
            return Some(Eval::exact(0.0));
        }
        let y = if v > 0.0 {
            v
        } else if slope == 0.0 && v <= 0.0 {
            0.0
        } else {
            slope * v
        };
        Some(Eval::within(y, gamma(6) * (term.abs() + beta.abs()) + lost))
    }
    fn cases(&self) -> Vec<BatchNormApplyParams> {
        [(1, 1, 1), (2, 33, 5), (3, 257, 13), (1, 64, 8), (2, 300, 12), (4, 37, 32), (2, 17, 101), (1, 1024, 20)]
            .into_iter()
            .zip([1.0, 0.0, 0.2, 1.0].into_iter().cycle())
            .map(|((clients, rows, c), slope)| {
                let (x_stride, stat_stride, param_stride) = (stride(rows * c, 1), stride(c, 0), stride(c, 3));
                BatchNormApplyParams { clients, rows, c, x_stride, stat_stride, param_stride, slope }
            })
            .collect()
    }
    /// Rows are multiples of 100: mean / std = 1000.
    fn contents(&self, p: &BatchNormApplyParams) -> [Contents; 6] {
        let (shift, scale) = if p.rows.is_multiple_of(100) { (1e3, 0.01) } else { (0.5, 0.5) };
        [
            Contents::Real { scale: 1.0, shift },
            Contents::Real { scale, shift },
            Contents::Positive { scale: 1.0 },
            Contents::Real { scale: 0.1, shift: 1.0 },
            Contents::Real { scale: 0.1, shift: 0.0 },
            Contents::Nan,
        ]
    }
}
