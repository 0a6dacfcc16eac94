//! Centred clipping (Karimireddy et al. 2021).

use super::device::{Combine, Norms, Sum, record_copy, row_like, send};
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Memory, Network, NetworkDecision, NetworkRule,
    RULE, record_weighted,
};
use crate::Result;
use crate::exec::{ALIGN, Engine, Recording, Tensor};
use crate::fed::rows::Piece;
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// v += mean_i (x_i - v) min(1, tau / ||x_i - v||), repeated from the last round's v; the update is v.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CentredClipping {
    /// Largest distance of an update from v that counts in full.
    pub tau: f64,
    /// Iterations.
    pub iterations: u32,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "federation.aggregation.tau",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Required,
        "largest distance between a client's update and the last one that counts in full; grows with the norm of updates",
    )
    .of(RULE, &["centred-clipping"]),
    Key::new(
        "federation.aggregation.iterations",
        ValueKind::Int(1, 1000),
        DefaultValue::Int(1),
        "iterations in each round",
    )
    .of(RULE, &["centred-clipping"]),
];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for CentredClipping {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn most_clients(&self) -> u32 {
        u32::MAX
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        Each::build(networks, |_, network| OnNetwork::new(engine, network, self.clone()))
    }
}

/// In the place of weights: z = w + v with the server's row w.
struct OnNetwork {
    options: CentredClipping,
    words: usize,
    /// v, from round to round.
    momentum: Tensor,
    /// z = w + v.
    begin: Recording,
    /// From z to the other z, and back.
    steps: [(Norms, Sum); 2],
    /// v = z - w for either z, then w = z.
    ends: [Recording; 2],
    statistics: Combine,
}

impl OnNetwork {
    fn new(engine: &mut dyn Engine, network: &Network, options: CentredClipping) -> Result<OnNetwork> {
        let rows = &network.weights;
        let momentum = row_like(engine, rows, "last update")?;
        let z = [row_like(engine, rows, "centre")?, row_like(engine, rows, "next centre")?];
        // 1 and -1, each where a tensor may start.
        let signs = engine.alloc("signs", 2 * ALIGN)?;
        let [plus, minus] = [signs.slice(0, 1), signs.slice(ALIGN, 1)];
        send(engine, plus, [1.0])?;
        send(engine, minus, [-1.0])?;
        let record = |rec: &mut Recording, sign: Tensor, row: Tensor, y: Tensor, accumulate: bool| {
            let piece = Piece { first: 0, clients: 1, rows: row.slice(0, rows.words) };
            record_weighted(rec, sign, &piece, rows.words, y, format!("centre of {}", rows.name), accumulate)
        };
        let mut begin = Recording::new();
        record(&mut begin, plus, rows.server, z[0], false)?;
        record(&mut begin, plus, momentum, z[0], true)?;
        let mut ends = [Recording::new(), Recording::new()];
        for (end, z) in ends.iter_mut().zip(z) {
            record(end, plus, z, momentum, false)?;
            record(end, minus, rows.server, momentum, true)?;
            record_copy(end, z, rows.server, rows.words, "centre")?;
        }
        let mut step = |at: usize| -> Result<(Norms, Sum)> {
            Ok((Norms::new(engine, rows, z[at])?, Sum::new(engine, rows, z[at], z[1 - at])?))
        };
        let steps = [step(0)?, step(1)?];
        let statistics = Combine::new(engine, network)?;
        Ok(OnNetwork { options, words: rows.words, momentum, begin, steps, ends, statistics })
    }
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        let steps = self.steps.iter().flat_map(|(norms, sum)| [norms.recording(), sum.recording()]);
        let own = std::iter::once(&self.begin).chain(&self.ends);
        own.chain(steps).chain(self.statistics.recordings()).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let present = round.clients();
        let mut weights = vec![0.0; round.present.len()];
        engine.run(&self.begin, 1)?;
        for iteration in 0..self.options.iterations as usize {
            let (norms, sum) = &self.steps[iteration % 2];
            let distances = norms.read(engine)?;
            for c in &present {
                let distance = distances[*c].value();
                let part = if distance > self.options.tau { self.options.tau / distance } else { 1.0 };
                weights[*c] = part / present.len() as f64;
            }
            sum.run(engine, 1.0 - weights.iter().sum::<f64>(), &weights)?;
        }
        engine.run(&self.ends[self.options.iterations as usize % 2], 1)?;
        // Statistics have no momentum: the clients' parts of the last iteration.
        self.statistics.run_statistics(engine, 1.0 - weights.iter().sum::<f64>(), &weights)?;
        Ok(NetworkDecision::of(weights))
    }

    fn memory(&self) -> Vec<Memory> {
        vec![Memory { name: "momentum".into(), rows: 1, words: self.words, tensor: self.momentum }]
    }
}
