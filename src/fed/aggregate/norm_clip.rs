//! Norm clipping with optional noise (Sun et al. 2019).

use super::device::{Combine, Noise, Norms};
use super::select::median;
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Network, NetworkDecision, NetworkRule, RULE,
};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// w + sum a_i x_i min(1, c / ||x_i||) + sigma N(0, I) with the updates x_i.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormClip {
    /// Largest norm; `None`: the median of the norms in the round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c: Option<f64>,
    /// Standard deviation of the noise, which weights alone get.
    pub sigma: f64,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "federation.aggregation.c",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Computed("the median of the norms in each round"),
        "largest norm of an update; larger ones are scaled down to it",
    )
    .of(RULE, &["norm-clip"]),
    Key::new(
        "federation.aggregation.sigma",
        ValueKind::Real(Bound::Closed(0.0), Bound::Free),
        DefaultValue::Real(0.0),
        "standard deviation of the noise added to every weight",
    )
    .of(RULE, &["norm-clip"]),
];
pub(super) const CONDITION: Condition = Condition::NONE;

impl AggregationRule for NormClip {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn most_clients(&self) -> u32 {
        u32::MAX
    }

    fn takes_weights(&self) -> bool {
        true
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], draws: &Draws) -> Result<Box<dyn Aggregation>> {
        Each::build(networks, |number, network| {
            let rows = &network.weights;
            let noise = (self.sigma > 0.0).then(|| Noise::new(engine, rows, draws, number)).transpose()?;
            let norms = Norms::new(engine, rows, rows.server)?;
            Ok(OnNetwork { options: self.clone(), norms, combine: Combine::new(engine, network)?, noise })
        })
    }
}

struct OnNetwork {
    options: NormClip,
    norms: Norms,
    combine: Combine,
    noise: Option<Noise>,
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        let noise = self.noise.iter().map(Noise::recording);
        std::iter::once(self.norms.recording()).chain(self.combine.recordings()).chain(noise).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let norms: Vec<f64> = self.norms.read(engine)?.into_iter().map(|norm| norm.value()).collect();
        let present = round.clients();
        let most = self.options.c.unwrap_or_else(|| median(present.iter().map(|c| norms[*c])));
        let part = |c: usize| if norms[c] > most { round.weights[c] * most / norms[c] } else { round.weights[c] };
        let weights: Vec<f64> = (0..norms.len()).map(|c| if round.present[c] { part(c) } else { 0.0 }).collect();
        self.combine.run(engine, &weights)?;
        if let Some(noise) = &self.noise {
            noise.run(engine, self.options.sigma, round.round)?;
        }
        Ok(NetworkDecision::of(weights).scores(&present, &present.iter().map(|c| norms[*c]).collect::<Vec<_>>()))
    }
}
