//! Inference statistics from the running statistics.

use super::batch_norm_stats::invstd;
use super::rows::{linear_build, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, strided};

crate::params! {
    /// Parameters of [`BatchNormRunning`].
    pub struct BatchNormRunningParams {
        /// Clients.
        clients: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `running_mean` and `running_var`.
        running_stride: u32 in Stride,
        /// Client stride of `mean` and `invstd`.
        stat_stride: u32 in Stride,
        /// Added to the variance, above 0.
        eps: f32 in Positive(1e-8, 0.1),
    }
}

/// The statistics for `batch_norm_apply` in evaluation mode: mean and 1 / sqrt(var + eps) of the running statistics.
pub struct BatchNormRunning;

impl Kernel for BatchNormRunning {
    type Params = BatchNormRunningParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "nn/batch_norm_running";
    const FORMULA: &'static str = "mean = running_mean, invstd = 1/sqrt(running_var + eps)";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("running_mean", "[clients][c], client stride running_stride"),
        Binding::read("running_var", "[clients][c], client stride running_stride"),
        Binding::write("mean", "[clients][c], client stride stat_stride"),
        Binding::write("invstd", "[clients][c], client stride stat_stride"),
    ];
    fn extents(&self, p: &BatchNormRunningParams) -> Result<[usize; 4], String> {
        if !(p.eps > 0.0 && p.eps.is_finite()) {
            return Err(format!("eps {}: must be above 0", p.eps));
        }
        let running = strided(p.clients, p.running_stride, p.c)?;
        let stat = strided(p.clients, p.stat_stride, p.c)?;
        Ok([running, running, stat, stat])
    }
    fn build(&self, p: &BatchNormRunningParams, _class: Class) -> Build {
        linear_build("nn/batch_norm_running.wgsl", p.c, p.clients)
    }
    fn cost(&self, p: &BatchNormRunningParams) -> Cost {
        let channels = p.clients as f64 * p.c as f64;
        Cost { flops: 2.0 * channels, bytes: 16.0 * channels }
    }
    fn at(&self, p: &BatchNormRunningParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let (client, channel) = locate(index, p.clients, p.stat_stride, p.c)?;
        let from = client * p.running_stride as usize + channel;
        Some(match slot {
            2 => Eval::exact(inputs.f(0, from)),
            _ => invstd(Eval::exact(inputs.f(1, from)), p.eps),
        })
    }
    fn cases(&self) -> Vec<BatchNormRunningParams> {
        [(1, 1), (2, 7), (3, 64), (2, 257)]
            .map(|(clients, c)| {
                let (running_stride, stat_stride) = (stride(c, 1), stride(c, 0));
                BatchNormRunningParams { clients, c, running_stride, stat_stride, eps: 1e-5 }
            })
            .to_vec()
    }
    fn contents(&self, _: &BatchNormRunningParams) -> [Contents; 4] {
        [Contents::NORMAL, Contents::Positive { scale: 1.0 }, Contents::Nan, Contents::Nan]
    }
}
