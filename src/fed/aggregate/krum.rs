//! Krum (Blanchard et al. 2017).

use super::{Aggregation, AggregationRule, Condition, Draws, Each, Network, RULE, faulty, multi_krum::Ranked};
use crate::Result;
use crate::exec::Engine;
use crate::key::{DefaultValue, Key, U32, ValueKind};
use serde::{Deserialize, Serialize};

/// The client whose n - f - 2 nearest others are nearest, by the sum of squared distances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Krum {
    /// Assumed number of faulty clients.
    pub f: u32,
    /// Number of nearest others; `None`: n - f - 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<u32>,
}

/// The row of a rule's number of neighbours.
pub(super) const fn neighbours(rule: &'static [&'static str]) -> Key {
    Key::new(
        "federation.aggregation.neighbours",
        ValueKind::Int(1, U32),
        DefaultValue::Computed("n - f - 2, as in the paper"),
        "nearest other clients whose squared distances are added; n - f - 1 gives the choices of ByzFL",
    )
    .of(RULE, rule)
}

pub(super) const OPTIONS: &[Key] = &[faulty(&["krum"]), neighbours(&["krum"])];
pub(super) const CONDITION: Condition = Condition { text: "n > 2f + 2", holds: |n, f| n > 2 * f + 2 };

/// Rejects more neighbours than there are other clients.
pub(super) fn check_neighbours(neighbours: Option<u32>, clients: u32) -> Result<(), String> {
    match neighbours {
        Some(found) if found >= clients => {
            Err(format!("{found} neighbours: {clients} clients have at most {}", clients - 1))
        }
        _ => Ok(()),
    }
}

impl AggregationRule for Krum {
    fn check(&self, clients: u32) -> Result<(), String> {
        CONDITION.check(clients, self.f)?;
        check_neighbours(self.neighbours, clients)
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        let (f, neighbours) = (self.f, self.neighbours);
        Each::build(networks, |_, network| Ranked::new(engine, network, f, neighbours, Some(1)))
    }
}
