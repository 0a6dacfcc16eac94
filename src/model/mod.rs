//! The networks and the GAN step: what is recorded, in which order, over which buffers. No autograd: every layer's
//! backward launches stand beside its forward ones.

mod arch;
mod bank;
mod gan;
mod init;
mod layout;
mod pass;
mod sampler;

pub use arch::{Architecture, Layer, LayerKind, Network, ParamSpec, RunningSpec};
pub use bank::{Activations, NetworkBank, Scratch};
pub use gan::{Gan, GanBuffers, Loss, STAT_WORDS, StepTables};
pub use init::record_init;
pub use layout::{NamedTensors, export, import, infer_generator, nchw_to_nhwc, nhwc_to_nchw};
pub use pass::{Backward, Mode, Pass};
pub use sampler::Sampler;
