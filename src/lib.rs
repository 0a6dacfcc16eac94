//! fedgan: a GPU compute kernel workbench for federated GANs under backdoor attack.
//!
//! The modules in dependency order; each imports only modules above it:
//!
//! - [`error`]: the error type with its exit codes, free to all modules.
//! - [`input`]: size limits of foreign files, free to all modules.
//! - [`kernels`]: the catalogue, one row per WGSL kernel: shader, parameters, bindings, shape rule, reference, error bound.
//! - [`isa`]: what a compiler for real GPUs makes of a shader.
//! - [`exec`]: launches recorded as plain data, and the engines that execute them.
//! - [`gpu`]: the wgpu engine.
//! - [`model`]: generator, discriminator and the GAN step.
//! - [`data`]: images from folders, archives and built-in sets.
//! - [`fed`]: clients, partition, attack, rounds, detection, aggregation.
//! - [`metric`]: quality metrics of generated images.
//! - [`check`]: comparison with the reference, shared by `fedgan validate` and the tests.
//! - [`report`]: run directories, logs, checkpoints, pictures and the report page.
//! - [`perf`]: timing, ceilings and baselines, shared by `fedgan bench` and `benches/`.
//! - [`config`]: experiment and sweep files, checked into plans.
//! - [`foreign`]: kernels that the catalogue does not have, by a shader and a kernel file.
//! - [`mpi`]: the processes of an MPI job.
//! - [`cli`]: the command line, one file per verb.

pub mod check;
pub mod cli;
pub mod config;
pub mod data;
pub mod error;
pub mod exec;
pub mod fed;
pub mod foreign;
pub mod gpu;
pub mod input;
pub mod isa;
pub mod kernels;
pub mod key;
pub mod metric;
pub mod model;
pub mod mpi;
pub mod perf;
pub mod report;
pub mod session;

pub use error::{Error, Result};
