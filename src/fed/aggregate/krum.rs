//! Krum (Blanchard et al. 2017).

use super::device::{Combine, Distances, Matrix};
use super::each::too_few;
use super::select::{krum_scores, margin, ranking};
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Network, NetworkDecision, NetworkRule, RULE,
    faulty,
};
use crate::Result;
use crate::exec::{Engine, Recording};
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

/// The mean of the clients of least score on a network.
pub(super) struct Ranked {
    f: u32,
    neighbours: Option<u32>,
    /// Clients averaged; `None`: n - f - 2.
    m: Option<u32>,
    distances: Distances,
    combine: Combine,
}

impl Ranked {
    pub fn new(
        engine: &mut dyn Engine,
        network: &Network,
        f: u32,
        neighbours: Option<u32>,
        m: Option<u32>,
    ) -> Result<Ranked> {
        let matrix = Matrix::new(engine, &network.weights)?;
        let (distances, combine) = (Distances::new(engine, &matrix)?, Combine::new(engine, network)?);
        Ok(Ranked { f, neighbours, m, distances, combine })
    }
}

impl NetworkRule for Ranked {
    fn recordings(&self) -> Vec<&Recording> {
        std::iter::once(self.distances.recording()).chain(self.combine.recordings()).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let (present, f) = (round.clients(), round.faults(self.f));
        let usual = present.len().checked_sub(f + 2).filter(|usual| *usual > 0);
        let Some(usual) = usual else { return Err(too_few(round, "Krum needs n > 2f + 2")) };
        let m = self.m.map_or(usual, |m| m as usize);
        if m > present.len() - f {
            return Err(too_few(round, &format!("m = {m} exceeds n - f")));
        }
        let neighbours = self.neighbours.map_or(usual, |k| k as usize);
        let scores = krum_scores(&self.distances.read(engine)?, &present, neighbours);
        let chosen = &ranking(&scores, &present)[..m];
        let decision = NetworkDecision::equal(round.present.len(), chosen);
        self.combine.run(engine, &decision.weights)?;
        Ok(decision.margin(margin(scores.iter().copied(), m)).scores(&present, &scores))
    }
}
