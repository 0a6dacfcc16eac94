//! Nearest-neighbour mixing (Allouah et al. 2023).

use super::{Mixed, Mixing, PRE, PreAggregation};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::device::{Distances, Matrix, Network};
use crate::fed::aggregate::each::too_few;
use crate::fed::aggregate::select::nearest;
use crate::fed::aggregate::{Candidates, Condition, Draws};
use crate::kernels::fed::pairs::MOST_CLIENTS;
use crate::key::{DefaultValue, Key, U32, ValueKind};
use serde::{Deserialize, Serialize};

/// Every client's row becomes the mean of the n - f rows nearest to it, itself included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nnm {
    /// Assumed number of faulty clients.
    pub f: u32,
}

/// The row of a pre-aggregator's assumed number of faulty clients.
pub(super) const fn faulty(rule: &'static [&'static str]) -> Key {
    Key::new(
        "federation.pre_aggregation.f",
        ValueKind::Int(0, U32),
        DefaultValue::Required,
        "number of faulty clients that is assumed; a count, never a share",
    )
    .of(PRE, rule)
}

pub(super) const OPTIONS: &[Key] = &[faulty(&["nnm"])];

impl PreAggregation for Nnm {
    fn check(&self, clients: u32) -> Result<(), String> {
        Condition::MINORITY.check(clients, self.f)
    }

    fn most_clients(&self) -> u32 {
        MOST_CLIENTS
    }

    fn build(
        &self,
        engine: &mut dyn Engine,
        network: &Network,
        _draws: &Draws,
        _number: u32,
    ) -> Result<Option<Box<dyn Mixing>>> {
        let matrix = Matrix::new(engine, &network.weights)?;
        Ok(Some(Box::new(OnNetwork { f: self.f, distances: Distances::new(engine, &matrix)? })))
    }
}

struct OnNetwork {
    f: u32,
    distances: Distances,
}

impl Mixing for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        vec![self.distances.recording()]
    }

    fn mix(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<Mixed> {
        let (present, f) = (round.clients(), round.faults(self.f));
        if present.len() <= 2 * f {
            return Err(too_few(round, "nearest-neighbour mixing needs n > 2f"));
        }
        let distances = self.distances.read(engine)?;
        let (mut rows, mut least) = (Vec::new(), f64::INFINITY);
        for client in 0..round.present.len() {
            if !round.present[client] {
                rows.push(Vec::new());
                continue;
            }
            let (chosen, margin) = nearest(&distances, &present, client, present.len() - f);
            let mut row = vec![0.0; round.present.len()];
            chosen.iter().for_each(|c| row[*c] = 1.0 / chosen.len() as f64);
            rows.push(row);
            least = least.min(margin);
        }
        Ok(Mixed { rows, margin: least })
    }
}
