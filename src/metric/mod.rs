//! Distances between generated and real images, on the host in f64.

mod sliced;

pub use sliced::{SlicedWasserstein, sliced_wasserstein};
