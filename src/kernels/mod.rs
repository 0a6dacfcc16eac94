//! The kernel catalogue. A row is the only declaration of a kernel: WGSL source, parameters, bindings, shape rule,
//! grid, cost, f64 reference, cases and error bound. Validation, argument checks, the generated table and every
//! recording derive from it. A new kernel is three files of one stem (`shaders/F/K.wgsl`, `src/kernels/F/K.rs`,
//! `src/exec/cpu/F/K.rs`) and one line below.
//!
//! This module depends on no tensor handle and no device.

mod bound;
mod diagnostic;
mod kernel;
mod params;
pub mod reflect;
pub mod shader;
#[cfg(test)]
mod tests;
pub mod writers;

pub use bound::{U, flushed, gamma};
pub use kernel::{
    Access, AnyKernel, Arity, Binding, Build, Class, Contents, Cost, Each, Elem, Eval, Inputs, Kernel, MAX_GROUPS,
    MOST_WORDS, Operands, ceil_div, few_bits, grid_fits, linear_grid, product, split, strided,
};
pub use params::{Draw, Field, Params, Scalar};

/// The list of kernels, passed to the macro named `$then`. **A kernel is one line here** and three files of its stem:
/// `shaders/F/K.wgsl`, `src/kernels/F/K.rs` and its f32 twin `src/exec/cpu/F/K.rs`, all declared by this list. The
/// items after the semicolon are shared by the kernels of a family.
///
/// `cargo fmt` does not see modules that a macro declares; `scripts/fmt` does.
macro_rules! for_each_kernel {
    ($then:ident) => {
        $then! {
            /// Neural-network kernels. Activations are `[clients][N][H][W][C]` (NHWC per client), weights
            /// `[clients][Co][kh][kw][Ci]`.
            ///
            /// Three convolution rows serve six operations. With the "large" side `[N][H][W][Ci]` and the "small" side
            /// `[N][OH][OW][Co]`: `conv2d` maps large to small (and is the data gradient of a transposed convolution),
            /// `conv_transpose2d` maps small to large (and is the data gradient of a convolution), `conv2d_weight_grad`
            /// contracts both (the weight gradient of either). A transposed convolution's PyTorch weight
            /// `[in][out][kh][kw]` is the convolution weight `[Co][Ci][kh][kw]` with Co = in. Three more compute the same
            /// in fewer multiplications for the layers between the ends ([`winograd`](nn::winograd)), from weights that
            /// `winograd_weights` has transformed.
            nn {
                conv2d: Conv2d,
                conv_transpose2d: ConvTranspose2d,
                conv2d_weight_grad: Conv2dWeightGrad,
                winograd_weights: WinogradWeights,
                winograd_conv2d: WinogradConv2d,
                winograd_conv_transpose2d: WinogradConvTranspose2d,
                winograd_weight_grad: WinogradWeightGrad,
                split_sum: SplitSum,
                batch_norm_stats: BatchNormStats,
                batch_norm_running: BatchNormRunning,
                batch_norm_apply: BatchNormApply,
                batch_norm_backward_reduce: BatchNormBackwardReduce,
                batch_norm_backward_apply: BatchNormBackwardApply,
                instance_norm_stats: InstanceNormStats,
                instance_norm_apply: InstanceNormApply,
                instance_norm_backward_reduce: InstanceNormBackwardReduce,
                instance_norm_backward_apply: InstanceNormBackwardApply,
                instance_norm_param_grad: InstanceNormParamGrad,
                instance_norm_second_reduce: InstanceNormSecondReduce,
                instance_norm_second_apply: InstanceNormSecondApply,
                instance_norm_second_param_grad: InstanceNormSecondParamGrad,
                activation: Activation,
                activation_backward: ActivationBackward,
                bce_with_logits: BceWithLogits,
                interpolate: Interpolate,
                image_square_sum: ImageSquareSum,
                gradient_penalty: GradientPenalty,
                gradient_penalty_seed: GradientPenaltySeed,
                wasserstein_loss: WassersteinLoss,
                bias_add: BiasAdd,
                channel_sum: ChannelSum,
                ;
                pub mod conv;
                pub mod instance;
                mod rows;
                pub mod tile;
                pub mod winograd;
            }
            /// Counter-based random numbers. Element i of client c is a function of (seed, stream, client, step, round,
            /// i) alone, so launch order, device and client chunks do not matter: key = (seed_lo, seed_hi, stream,
            /// client_base + c), counter = (i / 4, total steps, round, 0), word i % 4 of the block.
            rng {
                rng_bits: RngBits,
                rng_uniform: RngUniform,
                rng_normal: RngNormal,
                ;
                mod params;
                pub mod threefry;
                #[cfg(test)]
            pub(crate) mod witness;
                pub use params::RngParams;
                pub use threefry::{HostRng, Stream, seed_words, threefry4x32};
            }
            /// Optimisers, in place on every active client.
            optim {
                adam: Adam,
                rmsprop: Rmsprop,
                ;
                pub(crate) mod decay;
            }
            /// Operations of malicious clients on the device: the trigger on their images, and the updates that they send.
            attack {
                paste_trigger: PasteTrigger,
                paste_parts: PasteParts,
                add_columns: AddColumns,
                warp: Warp,
                axis_product: AxisProduct,
                mix_amplitude: MixAmplitude,
                scale_update: ScaleUpdate,
                benign_moments: BenignMoments,
                update_along: UpdateAlong,
                beyond_extreme: BeyondExtreme,
                rank_digits: RankDigits,
                rank_choose: RankChoose,
                mask_update: MaskUpdate,
                ;
                mod magnitude;
                mod poisoned;
                mod window;
                pub use magnitude::{BINS, DIGITS};
            }
            /// Operations between clients and server: the weighted mean of clients' tensors and its broadcast, the kernels of
            /// the server's probe of the clients' generators, and those of robust aggregation rules: comparisons of clients
            /// over slices of coordinates, and rules that decide coordinate by coordinate.
            fed {
                weighted_mean: WeightedMean,
                broadcast: Broadcast,
                batch_mean: BatchMean,
                median_deviation: MedianDeviation,
                pair_distance: PairDistance,
                pair_dot: PairDot,
                update_norm: UpdateNorm,
                norm_join: NormJoin,
                trimmed_mean: TrimmedMean,
                mean_around_median: MeanAroundMedian,
                sign_majority: SignMajority,
                robust_rate: RobustRate,
                gather_update: GatherUpdate,
                add_update: AddUpdate,
                client_momentum: ClientMomentum,
                pooled_variance: PooledVariance,
                ;
                pub mod pairs;
                pub mod ranks;
            }
            /// Operations on words: fill, copy, batches from bytes, reductions, the step counter.
            util {
                fill: Fill,
                copy: Copy,
                gather_batch: GatherBatch,
                reduce_sum: ReduceSum,
                difference_norm: DifferenceNorm,
                difference_dot: DifferenceDot,
                max_abs: MaxAbs,
                first_nonfinite: FirstNonfinite,
                step_advance: StepAdvance,
                ;
            }
        }
    };
}
pub(crate) use for_each_kernel;

/// Declares the families' modules, and the catalogue.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $family:ident { $($kernel:ident : $type:ident),* $(,)? ; $($also:item)* })*) => {
        $($(#[$doc])* pub mod $family { $(pub mod $kernel;)* $($also)* })*
        /// Every kernel, in the order of the table in `shaders/README.md`.
        pub static CATALOGUE: &[&dyn AnyKernel] = &[$($(&$family::$kernel::$type),*),*];
    };
}
for_each_kernel!(catalogue);

/// The row with that name.
pub fn find(name: &str) -> Option<&'static dyn AnyKernel> {
    CATALOGUE.iter().copied().find(|k| k.name() == name)
}
