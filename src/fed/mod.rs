//! The federation: clients, partition, attack, aggregation, round.

pub mod aggregate;
pub mod attack;
mod choice;
mod chunk;
pub mod detector;
pub mod drop;
mod exact;
mod federation;
mod local;
mod moments;
mod nonfinite;
pub mod partition;
mod probe;
mod round;
pub mod rows;
mod screen;
mod settings;
mod stages;
pub mod state;

pub use aggregate::{Rule, Shared, Weights};
pub use attack::Attack;
pub use detector::Detector;
pub use federation::{ClientData, Federation, every_client_has_a_batch};
pub use local::Local;
pub use nonfinite::{Fault, OnNonfinite};
pub use partition::{Origin, Partition};
pub use settings::Settings;
pub use stages::{ClientReport, Measured, RoundReport, Trained, Weighted};
