//! The federation: clients, partition, attack, aggregation, round.

pub mod aggregate;
pub mod attack;
pub mod partition;

pub use aggregate::{Aggregate, Weights};
pub use attack::Patch;
pub use partition::Partition;
