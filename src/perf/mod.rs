//! Measurement: peak rates of a device, durations of launches and whole steps, and comparison of two measurements.
//!
//! `fedgan bench` and `benches/` share everything here. Nothing is timed before its results were compared with the reference
//! ([`verify_sampled`]).

pub mod baseline;
pub mod ceilings;
mod csv;
mod fma;
mod verify_sampled;
pub mod measure;
pub mod problem;
pub mod round;
pub mod row;
pub mod stats;
pub mod step;
mod stream;
pub mod tap;
pub mod tune;
pub mod workload;

pub use ceilings::Ceilings;
pub use verify_sampled::verify_sampled;
pub use measure::{Budget, Verifier, Verification, Timing, measure};
pub use problem::Bench;
pub use row::{Document, Outcome, LaunchRow};
pub use stats::{Comparison, Summary, SpeedChange};
pub use tap::Tap;
pub use workload::{Loss, Problem, Shape, Workload};
