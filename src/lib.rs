//! fedgan: a GPU compute kernel workbench for federated GANs under backdoor attack.
//!
//! Read in this order: [`kernels`] (one row per hand-written WGSL kernel: shader, parameters, bindings, shape rule,
//! reference, error bound), [`exec`] (kernels are recorded as plain data, then executed by an engine), [`gpu`] (the wgpu
//! engine), [`model`] (generator, discriminator and the GAN step), [`fed`] (clients, partition, attack, aggregation, round),
//! [`check`] (what `fedgan validate` and the tests share), [`perf`] (what `fedgan bench` and `benches/` share) and [`cli`] (one file per verb).

pub mod check;
pub mod cli;
pub mod config;
pub mod data;
pub mod error;
pub mod exec;
pub mod fed;
pub mod gpu;
pub mod input;
pub mod kernels;
pub mod metric;
pub mod model;
pub mod perf;
pub mod report;
pub mod session;

pub use error::{Error, Result};
