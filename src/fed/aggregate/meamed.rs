//! The mean around the median (Xie et al. 2018).

use super::coordinate::{self, Average};
use super::{Aggregation, AggregationRule, Condition, Draws, Network, faulty};
use crate::Result;
use crate::exec::Engine;
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The mean of each coordinate's n - f values nearest to its median; of two at equal distance the smaller one is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meamed {
    /// Values left out.
    pub f: u32,
}

pub(super) const OPTIONS: &[Key] = &[faulty(&["meamed"])];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for Meamed {
    fn check(&self, clients: u32) -> Result<(), String> {
        CONDITION.check(clients, self.f)
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        coordinate::build(engine, networks, Average::NearMedian(self.f))
    }
}
