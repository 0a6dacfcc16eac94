//! The federation: clients, partition, attack, aggregation, round.

pub mod aggregate;
pub mod attack;
mod choice;
mod chunk;
pub mod detector;
pub mod drop;
mod exact;
mod federation;
mod finite;
mod given;
mod local;
mod moments;
mod momentum;
mod nonfinite;
pub mod partition;
mod probe;
mod round;
pub mod rows;
mod screen;
mod settings;
mod stages;
pub mod state;
mod statistics;

pub use aggregate::pre::Pre;
pub use aggregate::{NetworkDecision, Rule, Shared, Weights};
pub use attack::Attack;
pub use detector::Detector;
pub use federation::{ClientData, Federation, every_client_has_a_batch};
pub use given::Given;
pub use local::Local;
pub use nonfinite::{Fault, OnNonfinite};
pub use partition::{Origin, Partition};
pub use settings::Settings;
pub use stages::{ClientReport, Measured, RoundReport, Trained, Weighted};
pub use statistics::Statistics;
