//! The federation: clients, partition, attack, aggregation, round.

pub mod aggregate;
pub mod attack;
mod federation;
mod local;
pub mod partition;
mod round;

pub use aggregate::{Aggregate, Weights};
pub use attack::Patch;
pub use federation::{ClientData, Federation, Settings};
pub use local::Local;
pub use partition::Partition;
pub use round::{ClientReport, RoundReport};
