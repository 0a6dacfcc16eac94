//! Clipping and noise on the global model (CRFL, Xie et al. 2021).

use super::device::{Combine, Noise, Norms, record_copy, row_like, send};
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Network, NetworkDecision, NetworkRule, RULE,
    record_weighted,
};
use crate::Result;
use crate::exec::{ALIGN, Engine, Recording, Tensor};
use crate::fed::rows::{Piece, Rows};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// w' = w + mean of the updates; then w' min(1, rho / ||w'||) + sigma N(0, I). The model is clipped, not the updates; running
/// statistics are averaged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crfl {
    /// Largest norm of the model's weights.
    pub rho: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "federation.aggregation.rho",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Required,
        "largest norm of the aggregated network's weights",
    )
    .of(RULE, &["crfl"]),
    Key::new(
        "federation.aggregation.sigma",
        ValueKind::Real(Bound::Closed(0.0), Bound::Free),
        DefaultValue::Real(0.0),
        "standard deviation of the noise added to every weight",
    )
    .of(RULE, &["crfl"]),
];
pub(super) const CONDITION: Condition = Condition::NONE;

impl AggregationRule for Crfl {
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
        Each::build(networks, |number, network| OnNetwork::new(engine, network, self.clone(), draws, number))
    }
}

struct OnNetwork {
    options: Crfl,
    combine: Combine,
    norm: Norms,
    /// w' times the factor.
    scale: Recording,
    factor: Tensor,
    noise: Option<Noise>,
}

impl OnNetwork {
    fn new(engine: &mut dyn Engine, network: &Network, options: Crfl, draws: &Draws, number: u32) -> Result<OnNetwork> {
        let rows = &network.weights;
        let combine = Combine::new(engine, network)?;
        // The norm of the server's row is that of one client's update from 0.
        let (zero, whole) = (row_like(engine, rows, "zeros")?, row_like(engine, rows, "network before clipping")?);
        let model = Piece { first: 0, clients: 1, rows: rows.server };
        let norm = Norms::new(engine, &Rows { pieces: vec![model], ..rows.clone() }, zero)?;
        let factor = engine.alloc("clipping factor", ALIGN)?;
        let mut scale = Recording::new();
        record_copy(&mut scale, rows.server, whole, rows.words, "network before clipping")?;
        let piece = Piece { first: 0, clients: 1, rows: whole.slice(0, rows.words) };
        record_weighted(&mut scale, factor, &piece, rows.words, rows.server, format!("clipped {}", rows.name), false)?;
        let noise = (options.sigma > 0.0).then(|| Noise::new(engine, rows, draws, number)).transpose()?;
        Ok(OnNetwork { options, combine, norm, scale, factor, noise })
    }
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        let noise = self.noise.iter().map(Noise::recording);
        [self.norm.recording(), &self.scale].into_iter().chain(self.combine.recordings()).chain(noise).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        self.combine.run(engine, round.weights)?;
        let norm = self.norm.read(engine)?[0].value();
        if norm > self.options.rho {
            send(engine, self.factor, [self.options.rho / norm])?;
            engine.run(&self.scale, 1)?;
        }
        if let Some(noise) = &self.noise {
            noise.run(engine, self.options.sigma, round.round)?;
        }
        let decision = NetworkDecision::of(round.weights.to_vec());
        Ok(if norm > self.options.rho { decision.note(&format!("norm {norm:.6} clipped to rho")) } else { decision })
    }
}
