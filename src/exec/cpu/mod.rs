//! The CPU engine: fast f32 for people without a GPU. GEMM for the convolutions, rayon over clients and images; the
//! partition of every sum depends on shapes only, so results do not depend on the number of threads.

mod args;
mod attack;
#[cfg(test)]
mod case_tests;
mod conv;
#[cfg(test)]
mod conv_tests;
mod fed;
mod gemm;
mod instance;
mod norm;
#[cfg(test)]
mod norm_tests;
mod optim;
mod patches;
pub mod peak;
mod penalty;
mod pointwise;
mod rng;
mod util;

pub use args::Args;

use super::{BufferId, Descriptor, Engine, Purpose, Recording, Tensor, Traffic};
use crate::kernels::AnyKernel;
use crate::{Error, Result};

/// A kernel's CPU implementation: parameter words, operands.
pub type CpuFn = fn(&[u32], &Args);

/// One line per catalogue row (a test holds the two lists equal).
static FUNCTIONS: &[(&str, CpuFn)] = &[
    ("conv2d", conv::conv2d),
    ("conv2d_weight_grad", conv::conv2d_weight_grad),
    ("conv_transpose2d", conv::conv_transpose2d),
    ("split_sum", conv::split_sum),
    ("batch_norm_stats", norm::batch_norm_stats),
    ("batch_norm_running", norm::batch_norm_running),
    ("batch_norm_apply", norm::batch_norm_apply),
    ("batch_norm_backward_reduce", norm::batch_norm_backward_reduce),
    ("batch_norm_backward_apply", norm::batch_norm_backward_apply),
    ("instance_norm_stats", instance::stats),
    ("instance_norm_apply", instance::apply),
    ("instance_norm_backward_reduce", instance::backward_reduce),
    ("instance_norm_backward_apply", instance::backward_apply),
    ("instance_norm_param_grad", instance::param_grad),
    ("instance_norm_second_reduce", instance::second_reduce),
    ("instance_norm_second_apply", instance::second_apply),
    ("instance_norm_second_param_grad", instance::second_param_grad),
    ("activation", pointwise::activation),
    ("activation_backward", pointwise::activation_backward),
    ("bce_with_logits", pointwise::bce_with_logits),
    ("interpolate", penalty::interpolate),
    ("image_square_sum", penalty::image_square_sum),
    ("gradient_penalty", penalty::gradient_penalty),
    ("gradient_penalty_seed", penalty::gradient_penalty_seed),
    ("wasserstein_loss", penalty::wasserstein_loss),
    ("bias_add", norm::bias_add),
    ("channel_sum", norm::channel_sum),
    ("fill", util::fill),
    ("rng_bits", rng::rng_bits),
    ("rng_uniform", rng::rng_uniform),
    ("rng_normal", rng::rng_normal),
    ("adam", optim::adam),
    ("rmsprop", optim::rmsprop),
    ("paste_trigger", attack::paste_trigger),
    ("scale_update", attack::scale_update),
    ("weighted_mean", fed::weighted_mean),
    ("broadcast", fed::broadcast),
    ("batch_mean", fed::batch_mean),
    ("median_deviation", fed::median_deviation),
    ("copy", util::copy),
    ("gather_batch", util::gather_batch),
    ("reduce_sum", util::reduce_sum),
    ("difference_norm", util::difference_norm),
    ("difference_dot", util::difference_dot),
    ("max_abs", util::max_abs),
    ("first_nonfinite", util::first_nonfinite),
    ("step_advance", util::step_advance),
];

/// Names of the kernels that this engine has.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|f| f.0)
}

fn function(kernel: &dyn AnyKernel) -> Result<CpuFn> {
    FUNCTIONS
        .iter()
        .find(|(name, _)| *name == kernel.name())
        .map(|f| f.1)
        .ok_or_else(|| Error::internal(format!("the cpu engine has no `{}`", kernel.name())))
}

/// Bytes of scratch that the launches of a recording share, beside a MiB or so a thread.
pub fn scratch_bytes(recording: &Recording) -> u64 {
    let words = recording.launches().iter().map(|l| conv::prepared_words(l.kernel.name(), &l.params));
    4 * words.max().unwrap_or(0) as u64
}

/// Runs recordings on the host in f32.
#[derive(Debug)]
pub struct CpuEngine {
    buffers: Vec<Vec<u32>>,
    traffic: Traffic,
    descriptor: Descriptor,
}

impl Default for CpuEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl CpuEngine {
    /// An empty engine.
    pub fn new() -> Self {
        let descriptor = Descriptor {
            engine: "cpu".into(),
            adapter: "built-in CPU engine (f32, GEMM)".into(),
            address: String::new(),
            backend: "-".into(),
            device_type: "Cpu".into(),
            driver: "-".into(),
            variant: "-".into(),
        };
        CpuEngine { buffers: Vec::new(), traffic: Traffic::default(), descriptor }
    }
}

impl Engine for CpuEngine {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn alloc(&mut self, _label: &str, words: usize) -> Result<Tensor> {
        self.buffers.push(vec![0; words]);
        Ok(Tensor { buffer: BufferId(self.buffers.len() as u32 - 1), offset: 0, words })
    }

    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
        if words.len() > to.words {
            return Err(Error::internal(format!("write of {} words to a tensor of {}", words.len(), to.words)));
        }
        self.buffers[to.buffer.0 as usize][to.offset..to.offset + words.len()].copy_from_slice(words);
        Ok(())
    }

    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        self.traffic.add(purpose, 4 * from.words as u64);
        Ok(self.buffers[from.buffer.0 as usize][from.offset..from.offset + from.words].to_vec())
    }

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        let functions: Vec<CpuFn> = recording.launches().iter().map(|l| function(l.kernel)).collect::<Result<_>>()?;
        let buffers = &mut self.buffers;
        // Inside the pool, so that the calling thread hands over once a recording and not at every parallel loop: on small
        // models the hand-overs took a fifth of the time.
        rayon::scope(|_| {
            for _ in 0..times {
                for (launch, function) in recording.launches().iter().zip(&functions) {
                    function(&launch.params, &Args::new(buffers, launch.kernel.bindings(), &launch.args));
                }
            }
        });
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn max_binding_words(&self) -> usize {
        usize::MAX
    }

    fn allocated_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| 4 * buffer.len() as u64).sum()
    }
}
