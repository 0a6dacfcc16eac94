//! Kernels that the catalogue does not have: a WGSL file and a kernel file (`NAME.kernel.toml`) that says what it is launched with
//! and what is right.
//!
//! [`manifest`] reads the kernel file, [`interface`] what naga says about the shader, [`case`](mod@case) brings both together for one case,
//! [`check`] runs it and compares it with its truth.

pub mod bench;
pub mod case;
pub mod check;
pub mod compare;
mod compiled;
mod document;
pub mod export;
pub mod expr;
pub mod fill;
pub mod history;
pub mod interface;
pub mod manifest;
pub mod mutants;
pub mod poison;
mod scope;
mod truth;
pub mod tune;

pub use check::{CaseReport, Checks, Workbench};
pub use manifest::{Manifest, Only};

/// Seed of random contents where none is given.
pub const SEED: u64 = 1;
/// The longest time of a launch where none is given.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Whether an argument of a verb names a kernel file.
pub fn is_kernel_file(target: &str) -> bool {
    target.ends_with(".kernel.toml")
}
