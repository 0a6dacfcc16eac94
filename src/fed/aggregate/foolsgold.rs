//! FoolsGold (Fung et al. 2020).

use super::device::{Combine, Dots, Matrix, Network, row_like};
use super::select::{cosines, foolsgold};
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Memory, NetworkDecision, NetworkRule, RULE,
};
use crate::Result;
use crate::exec::{Engine, Recording, Tensor};
use crate::fed::rows::{Piece, Rows};
use crate::kernels::fed::add_update::{AddUpdate, AddUpdateParams};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// Clients whose added updates point the same way lose weight. Needs diverse honest clients: among honest clients with similar data
/// one attacker can be the only one that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoolsGold {
    /// Steepness of the weights.
    pub kappa: f64,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "federation.aggregation.kappa",
    ValueKind::Real(Bound::Open(0.0), Bound::Free),
    DefaultValue::Real(1.0),
    "steepness of the weights over the similarity of clients",
)
.of(RULE, &["foolsgold"])];
/// Its theory has no number of faulty clients.
pub(super) const CONDITION: Condition = Condition::NONE;

impl AggregationRule for FoolsGold {
    fn check(&self, clients: u32) -> Result<(), String> {
        if clients < 2 { Err("needs n >= 2: clients are compared".into()) } else { Ok(()) }
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        Each::build(networks, |_, network| OnNetwork::new(engine, network, self.kappa))
    }
}

struct OnNetwork {
    kappa: f64,
    words: usize,
    clients: usize,
    /// The clients' added updates, `[clients][words]`.
    history: Tensor,
    /// One recording per client: a client that is not present has none in the round.
    add: Vec<Recording>,
    dots: Dots,
    combine: Combine,
}

impl OnNetwork {
    fn new(engine: &mut dyn Engine, network: &Network, kappa: f64) -> Result<OnNetwork> {
        let rows = &network.weights;
        let (clients, words) = (rows.clients() as usize, rows.words);
        let history = engine.alloc("added updates", clients * words)?;
        let mut add = Vec::new();
        for piece in &rows.pieces {
            for c in 0..piece.clients as usize {
                let (x, y) =
                    (piece.rows.slice(c * words, words), history.slice((piece.first as usize + c) * words, words));
                let n = words as u32;
                let p = AddUpdateParams { clients: 1, n, x_stride: n, y_stride: n };
                let mut rec = Recording::new();
                let operands = [x, rows.server.slice(0, words), y];
                rec.launch(&AddUpdate, &p, &operands, format!("history of {}", rows.name))?;
                add.push(rec);
            }
        }
        let piece = Piece { first: 0, clients: clients as u32, rows: history };
        let added = Rows { pieces: vec![piece], ..rows.clone() };
        let zero = row_like(engine, &added, "zeros")?;
        let matrix = Matrix::new(engine, &added)?;
        let (dots, combine) = (Dots::new(engine, &matrix, zero)?, Combine::new(engine, network)?);
        Ok(OnNetwork { kappa, words, clients, history, add, dots, combine })
    }
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        self.add.iter().chain(self.dots.recordings()).chain(self.combine.recordings()).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let present = round.clients();
        present.iter().try_for_each(|c| engine.run(&self.add[*c], 1))?;
        let found = foolsgold(&cosines(&self.dots.read(engine)?), &present, self.kappa);
        let sum: f64 = found.iter().sum();
        let mut weights = vec![0.0; self.clients];
        present.iter().zip(&found).for_each(|(c, weight)| weights[*c] = if sum > 0.0 { weight / sum } else { 0.0 });
        self.combine.run(engine, &weights)?;
        let decision = NetworkDecision::of(weights).scores(&present, &found);
        Ok(if sum > 0.0 {
            decision
        } else {
            decision.note("no client has weight: the server's networks do not change")
        })
    }

    fn memory(&self) -> Vec<Memory> {
        vec![Memory { name: "added updates".into(), rows: self.clients, words: self.words, tensor: self.history }]
    }
}
