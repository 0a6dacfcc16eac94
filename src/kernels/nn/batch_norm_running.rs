//! Inference statistics from the running ones.

use super::batch_norm_stats::invstd;
use super::rows::{linear_build, locate, stride};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, strided};

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

/// What `batch_norm_apply` needs in evaluation mode: mean and 1 / sqrt(var + eps) of the running statistics.
pub struct BatchNormRunning;

impl Kernel for BatchNormRunning {
    fn name(&self) -> &'static str {
        "batch_norm_running"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn formula(&self) -> &'static str {
        "mean = running_mean, invstd = 1/sqrt(running_var + eps)"
    }
    fn fields(&self) -> &'static [Field] {
        BatchNormRunningParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("running_mean", "[clients][c], client stride running_stride"),
                Binding::read("running_var", "[clients][c], client stride running_stride"),
                Binding::write("mean", "[clients][c], client stride stat_stride"),
                Binding::write("invstd", "[clients][c], client stride stat_stride"),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = BatchNormRunningParams::from_words(words);
        if !(p.eps > 0.0 && p.eps.is_finite()) {
            return Err(format!("eps {}: must be above 0", p.eps));
        }
        let running = strided(p.clients, p.running_stride, p.c)?;
        let stat = strided(p.clients, p.stat_stride, p.c)?;
        Ok(vec![running, running, stat, stat])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        let p = BatchNormRunningParams::from_words(words);
        linear_build("nn/batch_norm_running.wgsl", p.c, p.clients)
    }
    fn cost(&self, words: &[u32]) -> Cost {
        let p = BatchNormRunningParams::from_words(words);
        let channels = p.clients as f64 * p.c as f64;
        Cost { flops: 2.0 * channels, bytes: 16.0 * channels }
    }
    fn at(&self, words: &[u32], inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let p = BatchNormRunningParams::from_words(words);
        let (client, channel) = locate(index, p.clients, p.stat_stride, p.c)?;
        let from = client * p.running_stride as usize + channel;
        Some(match slot {
            2 => Eval::exact(inputs.f(0, from)),
            _ => invstd(Eval::exact(inputs.f(1, from)), p.eps),
        })
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        [(1, 1), (2, 7), (3, 64), (2, 257)]
            .map(|(clients, c)| {
                let (running_stride, stat_stride) = (stride(c, 1), stride(c, 0));
                BatchNormRunningParams { clients, c, running_stride, stat_stride, eps: 1e-5 }.words()
            })
            .to_vec()
    }
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        vec![Fill::NORMAL, Fill::Positive { scale: 1.0 }, Fill::Nan, Fill::Nan]
    }
}
