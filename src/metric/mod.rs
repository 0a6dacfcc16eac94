//! Quality of generated images relative to real ones, on the host in f64 (network features in f32).
//!
//! Every value's name states what is needed to interpret it: numbers of images, extractor, resize filter. A Frechet
//! distance is called `fd_lite0`, not FID: [`Extractor`] has the networks. [`Evaluator`] computes the metrics that an experiment requests, each with a
//! real-against-real floor.

mod evaluator;
mod extractor;
mod frechet;
mod gather;
mod images;
mod kernel;
mod leakage;
mod lite0;
mod neighbours;
mod product;
mod resize;
mod sliced;
mod ssim;

pub use evaluator::{Evaluator, Gathering, Metric, Value, host_bytes};
#[cfg(all(test, feature = "onnx"))]
pub(crate) use extractor::tests as extractor_tests;
pub use extractor::{BUILTIN, Extractor, ExtractorOptions, Layout, Order, extractor_digest};
pub use frechet::{Frechet, frechet};
pub use images::ImageSet;
pub use kernel::{Kid, SUBSETS, kid, squared_mmd};
pub use leakage::Leakage;
pub use lite0::{FEATURES, Features, Lite0};
pub use neighbours::{NEIGHBOURS, Prdc, prdc};
pub use resize::Filter;
pub use sliced::{SlicedWasserstein, patch_distance, sliced_wasserstein};
pub use ssim::{PAIRS, diversity, ms_ssim, scales};
