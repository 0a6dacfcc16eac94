//! Multi-Krum (Blanchard et al. 2017).

use super::krum::{self, Ranked, check_neighbours};
use super::{Aggregation, AggregationRule, Condition, Draws, Each, Network, RULE, faulty};
use crate::Result;
use crate::exec::Engine;
use crate::key::{DefaultValue, Key, U32, ValueKind};
use serde::{Deserialize, Serialize};

/// The mean of the m clients of least Krum score, ranked once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiKrum {
    /// Assumed number of faulty clients.
    pub f: u32,
    /// Number of clients averaged; `None`: n - f - 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<u32>,
    /// Number of nearest others; `None`: n - f - 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<u32>,
}

pub(super) const OPTIONS: &[Key] = &[
    faulty(&["multi-krum"]),
    Key::new(
        "federation.aggregation.m",
        ValueKind::Int(1, U32),
        DefaultValue::Computed("n - f - 2, the most for which the paper has a proof"),
        "number of clients averaged, at most n - f",
    )
    .of(RULE, &["multi-krum"]),
    krum::neighbours(&["multi-krum"]),
];
pub(super) const CONDITION: Condition = krum::CONDITION;

impl AggregationRule for MultiKrum {
    fn check(&self, clients: u32) -> Result<(), String> {
        CONDITION.check(clients, self.f)?;
        match self.m {
            Some(m) if m > clients - self.f => {
                return Err(format!("m = {m}: at most n - f = {} clients are averaged", clients - self.f));
            }
            _ => {}
        }
        check_neighbours(self.neighbours, clients)
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        let (f, neighbours, m) = (self.f, self.neighbours, self.m);
        Each::build(networks, |_, network| Ranked::new(engine, network, f, neighbours, m))
    }
}
