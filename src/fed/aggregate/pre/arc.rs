//! Adaptive robust clipping (Allouah et al. 2025).

use super::nnm::faulty;
use super::{Mixed, Mixing, PreAggregation};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::device::{Network, Norms};
use crate::fed::aggregate::each::too_few;
use crate::fed::aggregate::{Candidates, Condition, Draws};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The k = floor(2 f (n - f) / n) updates of largest norm are clipped to the next smaller norm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arc {
    /// Assumed number of faulty clients.
    pub f: u32,
}

pub(super) const OPTIONS: &[Key] = &[faulty(&["arc"])];

impl PreAggregation for Arc {
    fn check(&self, clients: u32) -> Result<(), String> {
        Condition::MINORITY.check(clients, self.f)
    }

    fn build(
        &self,
        engine: &mut dyn Engine,
        network: &Network,
        _draws: &Draws,
        _number: u32,
    ) -> Result<Option<Box<dyn Mixing>>> {
        let rows = &network.weights;
        Ok(Some(Box::new(OnNetwork { f: self.f, norms: Norms::new(engine, rows, rows.server)? })))
    }
}

struct OnNetwork {
    f: u32,
    norms: Norms,
}

impl Mixing for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        vec![self.norms.recording()]
    }

    fn mix(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<Mixed> {
        let (present, f) = (round.clients(), round.faults(self.f));
        if present.len() <= 2 * f {
            return Err(too_few(round, "adaptive robust clipping needs n > 2f"));
        }
        let norms: Vec<f64> = self.norms.read(engine)?.into_iter().map(|norm| norm.value()).collect();
        let clipped = 2 * f * (present.len() - f) / present.len();
        let mut sorted: Vec<f64> = present.iter().map(|c| norms[*c]).collect();
        sorted.sort_by(f64::total_cmp);
        let most = sorted[present.len() - 1 - clipped];
        let row = |c: usize| {
            let mut row = vec![0.0; norms.len()];
            row[c] = if norms[c] > most { most / norms[c] } else { 1.0 };
            row
        };
        let rows = (0..norms.len()).map(|c| if round.present[c] { row(c) } else { Vec::new() });
        Ok(Mixed { rows: rows.collect(), margin: f64::INFINITY })
    }
}
