//! Neural-network kernels. Activations are [clients][N][H][W][C] (NHWC a client), weights [clients][Co][kh][kw][Ci].
//!
//! Three convolution rows serve six operations. With the "large" side [N][H][W][Ci] and the "small" side [N][OH][OW][Co]:
//! `conv2d` maps large to small (and is the data gradient of a transposed convolution), `conv_transpose2d` maps small to
//! large (and is the data gradient of a convolution), `conv2d_weight_grad` contracts both (the weight gradient of either).
//! A transposed convolution's PyTorch weight [in][out][kh][kw] is the convolution weight [Co][Ci][kh][kw] with Co = in.
pub mod activation;
pub mod activation_backward;
pub mod batch_norm_apply;
pub mod batch_norm_backward_apply;
pub mod batch_norm_backward_reduce;
pub mod batch_norm_running;
pub mod batch_norm_stats;
pub mod bce_with_logits;
pub mod bias_add;
pub mod channel_sum;
pub mod conv;
pub mod conv2d;
pub mod conv2d_weight_grad;
pub mod conv_transpose2d;
pub mod gradient_penalty;
pub mod gradient_penalty_seed;
pub mod image_square_sum;
pub mod instance;
pub mod instance_norm_apply;
pub mod instance_norm_backward_apply;
pub mod instance_norm_backward_reduce;
pub mod instance_norm_param_grad;
pub mod instance_norm_second_apply;
pub mod instance_norm_second_param_grad;
pub mod instance_norm_second_reduce;
pub mod instance_norm_stats;
pub mod interpolate;
mod rows;
pub mod split_sum;
pub mod tile;
pub mod wasserstein_loss;
