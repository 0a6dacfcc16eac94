//! Measurement: peak rates of a device, durations of launches and whole steps, and comparison of two measurements.
//!
//! `fedgan bench` and `benches/` share everything here. Nothing is timed before its results were compared with the reference
//! ([`judged`]).

pub mod baseline;
pub mod ceilings;
mod csv;
mod fma;
mod judged;
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
pub use judged::judged;
pub use measure::{Budget, Judge, Judgement, Timing, measure};
pub use problem::Bench;
pub use row::{Document, Outcome, Row};
pub use stats::{Comparison, Summary, Verdict};
pub use tap::Tap;
pub use workload::{Loss, Problem, Shape, Workload};
