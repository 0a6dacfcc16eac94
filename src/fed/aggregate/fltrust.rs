//! FLTrust (Cao et al. 2021): trust by the direction of the server's own update.

use super::device::{Combine, Dots, Matrix, Network};
use super::{Aggregation, AggregationRule, Candidates, Condition, Draws, Each, NetworkDecision, NetworkRule};
use crate::exec::{Engine, Recording};
use crate::fed::rows::{Piece, Rows};
use crate::kernels::fed::pairs::MOST_CLIENTS;
use crate::key::Key;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// With the server's own update x_0: t_i = max(0, cos(x_i, x_0)), the update is sum t_i (||x_0|| / ||x_i||) x_i / sum t_i; 0 if no
/// client is trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlTrust {}

pub(super) const OPTIONS: &[Key] = &[];
/// Its theory has no number of faulty clients; the server's images are trusted instead.
pub(super) const CONDITION: Condition = Condition::NONE;

impl AggregationRule for FlTrust {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn most_clients(&self) -> u32 {
        // The server's own row is one more.
        MOST_CLIENTS - 1
    }

    fn needs_server_data(&self) -> bool {
        true
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        Each::build(networks, |_, network| {
            let rows = &network.weights;
            let root = network.root.ok_or_else(|| Error::internal("FLTrust without the server's own update"))?;
            // The server's row behind those of the clients.
            let own = Piece { first: rows.clients(), clients: 1, rows: root.slice(0, rows.words) };
            let pieces = rows.pieces.iter().copied().chain([own]).collect();
            let matrix = Matrix::new(engine, &Rows { pieces, ..rows.clone() })?;
            Ok(OnNetwork { dots: Dots::new(engine, &matrix, rows.server)?, combine: Combine::new(engine, network)? })
        })
    }
}

struct OnNetwork {
    dots: Dots,
    combine: Combine,
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        self.dots.recordings().into_iter().chain(self.combine.recordings()).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let (present, clients) = (round.clients(), round.present.len());
        let dots = self.dots.read(engine)?;
        let norm = |c: usize| dots.at(c, c).sqrt();
        let own = norm(clients);
        let trust = |c: usize| match norm(c) * own > 0.0 {
            true => (dots.at(c, clients) / (norm(c) * own)).max(0.0),
            false => 0.0,
        };
        let trusts: Vec<f64> = present.iter().map(|c| trust(*c)).collect();
        let sum: f64 = trusts.iter().sum();
        let mut weights = vec![0.0; clients];
        let mut parts = vec![0.0; clients];
        if sum > 0.0 {
            for (c, trust) in present.iter().zip(&trusts).filter(|(_, trust)| **trust > 0.0) {
                weights[*c] = trust / sum;
                parts[*c] = trust / sum * own / norm(*c);
            }
        }
        self.combine.run_weights(engine, 1.0 - parts.iter().sum::<f64>(), &parts)?;
        // Statistics are no directions: they take the trusted clients' as they are.
        self.combine.run_statistics(engine, if sum > 0.0 { 0.0 } else { 1.0 }, &weights)?;
        let decision = NetworkDecision::of(weights).scores(&present, &trusts);
        Ok(if sum > 0.0 {
            decision
        } else {
            decision.note("no client is trusted: the server's networks do not change")
        })
    }
}
