//! FLAME (Nguyen et al. 2022): a cluster of the majority, clipping to the median norm, noise.

use super::device::{Combine, Dots, Matrix, Network, Noise};
use super::each::too_few;
use super::select::{cosines, first_majority, median};
use super::{Aggregation, AggregationRule, Candidates, Condition, Draws, Each, NetworkDecision, NetworkRule, RULE};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The mean of the admitted updates, each clipped to the median S of all norms, with noise of sigma S on every weight. Admitted is the
/// first cluster of more than half of the clients that single linkage over cosine distances forms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flame {
    /// Standard deviation of the noise, in units of the median norm.
    pub sigma: f64,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "federation.aggregation.sigma",
    ValueKind::Real(Bound::Closed(0.0), Bound::Free),
    DefaultValue::Real(0.0),
    "standard deviation of the noise added to every weight, in units of the median norm",
)
.of(RULE, &["flame"])];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for Flame {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], draws: &Draws) -> Result<Box<dyn Aggregation>> {
        let sigma = self.sigma;
        Each::build(networks, |number, network| {
            let rows = &network.weights;
            let matrix = Matrix::new(engine, rows)?;
            let dots = Dots::new(engine, &matrix, rows.server)?;
            let noise = (sigma > 0.0).then(|| Noise::new(engine, rows, draws, number)).transpose()?;
            Ok(OnNetwork { sigma, dots, combine: Combine::new(engine, network)?, noise })
        })
    }
}

struct OnNetwork {
    sigma: f64,
    dots: Dots,
    combine: Combine,
    noise: Option<Noise>,
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        let noise = self.noise.iter().map(Noise::recording);
        self.dots.recordings().into_iter().chain(self.combine.recordings()).chain(noise).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let (present, majority) = (round.clients(), round.present.len() / 2 + 1);
        if present.len() < majority {
            return Err(too_few(round, &format!("FLAME admits at least {majority}")));
        }
        let dots = self.dots.read(engine)?;
        let (admitted, margin) = first_majority(&cosines(&dots), &present, majority);
        let norm = |c: usize| dots.at(c, c).sqrt();
        let most = median(present.iter().map(|c| norm(*c)));
        let mut weights = vec![0.0; round.present.len()];
        for c in &admitted {
            let part = if norm(*c) > most { most / norm(*c) } else { 1.0 };
            weights[*c] = part / admitted.len() as f64;
        }
        self.combine.run(engine, &weights)?;
        if let Some(noise) = &self.noise {
            noise.run(engine, self.sigma * most, round.round)?;
        }
        Ok(NetworkDecision::of(weights).margin(margin))
    }
}
