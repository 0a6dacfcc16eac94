//! The kernel catalogue. A row is the only declaration of a kernel: WGSL source, parameters, bindings, shape rule, grid,
//! cost, CPU reference, cases and error bound. Validation, argument checks, the generated table and every recording
//! derive from it. A new kernel is two files (`shaders/F/K.wgsl`, `src/kernels/F/K.rs`) and one line in [`CATALOGUE`].
//!
//! Nothing here knows a tensor handle or a device.

mod bound;
mod kernel;
#[cfg(test)]
mod naga_tests;
mod params;
pub mod reflect;
pub mod shader;
pub mod writers;

pub mod attack;
pub mod fed;
pub mod nn;
pub mod optim;
pub mod rng;
pub mod util;

pub use bound::{U, flushed, gamma};
pub use kernel::{
    Access, AnyKernel, Arity, Binding, Build, Class, Cost, Each, Elem, Eval, Fill, Inputs, Kernel, MAX_GROUPS,
    MOST_WORDS, Operands, ceil_div, few_bits, grid_fits, linear_grid, product, split, strided,
};
pub use params::{Draw, Field, Params, Scalar};

/// Every kernel, in the order of the table in `shaders/README.md`.
pub static CATALOGUE: &[&dyn AnyKernel] = &[
    &nn::conv2d::Conv2d,
    &nn::conv_transpose2d::ConvTranspose2d,
    &nn::conv2d_weight_grad::Conv2dWeightGrad,
    &nn::split_sum::SplitSum,
    &nn::batch_norm_stats::BatchNormStats,
    &nn::batch_norm_running::BatchNormRunning,
    &nn::batch_norm_apply::BatchNormApply,
    &nn::batch_norm_backward_reduce::BatchNormBackwardReduce,
    &nn::batch_norm_backward_apply::BatchNormBackwardApply,
    &nn::instance_norm_stats::InstanceNormStats,
    &nn::instance_norm_apply::InstanceNormApply,
    &nn::instance_norm_backward_reduce::InstanceNormBackwardReduce,
    &nn::instance_norm_backward_apply::InstanceNormBackwardApply,
    &nn::instance_norm_param_grad::InstanceNormParamGrad,
    &nn::instance_norm_second_reduce::InstanceNormSecondReduce,
    &nn::instance_norm_second_apply::InstanceNormSecondApply,
    &nn::instance_norm_second_param_grad::InstanceNormSecondParamGrad,
    &nn::activation::Activation,
    &nn::activation_backward::ActivationBackward,
    &nn::bce_with_logits::BceWithLogits,
    &nn::interpolate::Interpolate,
    &nn::image_square_sum::ImageSquareSum,
    &nn::gradient_penalty::GradientPenalty,
    &nn::gradient_penalty_seed::GradientPenaltySeed,
    &nn::wasserstein_loss::WassersteinLoss,
    &nn::bias_add::BiasAdd,
    &nn::channel_sum::ChannelSum,
    &util::fill::Fill,
    &rng::rng_bits::RngBits,
    &rng::rng_uniform::RngUniform,
    &rng::rng_normal::RngNormal,
    &optim::adam::Adam,
    &optim::rmsprop::Rmsprop,
    &attack::paste_trigger::PasteTrigger,
    &attack::scale_update::ScaleUpdate,
    &fed::weighted_mean::WeightedMean,
    &fed::broadcast::Broadcast,
    &fed::batch_mean::BatchMean,
    &fed::median_deviation::MedianDeviation,
    &util::copy::Copy,
    &util::gather_batch::GatherBatch,
    &util::reduce_sum::ReduceSum,
    &util::difference_norm::DifferenceNorm,
    &util::difference_dot::DifferenceDot,
    &util::max_abs::MaxAbs,
    &util::first_nonfinite::FirstNonfinite,
    &util::step_advance::StepAdvance,
];

/// The row of that name.
pub fn find(name: &str) -> Option<&'static dyn AnyKernel> {
    CATALOGUE.iter().copied().find(|k| k.name() == name)
}
