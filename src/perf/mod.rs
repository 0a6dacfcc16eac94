//! Measurement: peak rates of a device, durations of launches and whole steps, and comparison of two measurements.
//!
//! `fedgan bench` and `benches/` share everything here. Nothing is timed before its results were compared with the reference
//! ([`verify_sampled`]).

pub mod baseline;
pub mod ceilings;
mod csv;
mod fma;
pub mod measure;
pub mod problem;
pub mod proof;
pub mod round;
pub mod row;
pub mod stats;
pub mod step;
mod stream;
pub mod tap;
pub mod tune;
mod verify_sampled;
pub mod workload;

pub use ceilings::Ceilings;
pub use measure::{Budget, Timing, Verification, Verifier, measure};
pub use problem::Bench;
pub use row::{Document, LaunchRow, Outcome};
pub use stats::{Comparison, SpeedChange, Summary};
pub use tap::Tap;
pub use verify_sampled::verify_sampled;
pub use workload::{Loss, Problem, Shape, Workload};
