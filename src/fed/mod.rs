//! The federation on the host's side: which client holds which images.

pub mod partition;

pub use partition::Partition;
