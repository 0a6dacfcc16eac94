//! The networks and the GAN step: which launches are recorded, in which order, over which buffers. There is no
//! autograd: every layer's backward launches are written beside its forward launches.

mod arch;
mod bank;
mod gan;
mod init;
mod instance;
mod layout;
mod pass;
mod penalty;
mod sampler;
mod stats;
mod transformed;
mod wgan;

pub use arch::{Architecture, Layer, LayerKind, Network, Norm, ParamSpec, RunningSpec};
pub use bank::{Activations, NetworkBank, Scratch};
pub use gan::{Gan, GanBuffers, Interpolation, Objective, Optimizer, StepTables, Training};
pub use init::record_init;
pub use layout::{NamedTensors, export, import, infer_generator, nchw_to_nhwc, nhwc_to_nchw};
pub use pass::{Backward, Mode, Pass};
pub use penalty::{Penalty, PenaltyBuffers};
pub use sampler::Sampler;
pub use stats::{Loss, RoundStats, SCANS};
pub use transformed::{Convolution, TransformedWeights};
pub use wgan::{CriticBatch, WganBuffers};
