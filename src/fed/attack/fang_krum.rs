//! The directed attack on Krum (Fang et al. 2020).

use super::device::{Along, Craft, Moments, record_sign};
use super::{Attacker, Knowledge, Sight, Target, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::device::{Distances, Matrix, Norms, Square, row_like};
use crate::fed::aggregate::select::{krum_scores, ranking};
use crate::fed::rows::{Piece, Rows};
use crate::kernels::fed::pairs::MOST_CLIENTS;
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The update is -lambda sign(m) with the mean m of the benign ones: lambda is the largest of their norms, halved until Krum, with as
/// many assumed faults as there are malicious clients, selects a malicious client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FangKrum {}

pub(super) const OPTIONS: &[Key] = &[];

/// Most halvings; after that lambda is the last one. Fang et al. stop at 1e-5 as well, of 1 rather than of the largest norm.
const HALVINGS: u32 = 17;

impl UpdateAttack for FangKrum {
    fn knowledge(&self) -> Knowledge {
        Knowledge::BenignAndRule
    }

    fn check(&self, clients: u32, malicious: &[u32]) -> Result<(), String> {
        let f = malicious.len() as u64;
        match u64::from(clients) > 2 * f + 2 {
            true => Ok(()),
            false => Err(format!("Krum, which it simulates, needs n > 2f + 2; n = {clients}, f = {f}")),
        }
    }

    fn most_clients(&self) -> u32 {
        MOST_CLIENTS
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        let (rows, mut record) = (&on.network.weights, Recording::new());
        let moments = Moments::new(engine, rows, 0)?;
        let signs = record_sign(engine, &mut record, moments.mean, rows)?;
        let matrix = Matrix::new(engine, rows)?;
        let distances = Distances::new(engine, &matrix)?;
        let norms = Norms::new(engine, rows, rows.server)?;
        let piece = Piece { first: 0, clients: 1, rows: signs.slice(0, rows.words) };
        let one = Rows { name: format!("{} signs", rows.name), pieces: vec![piece], ..rows.clone() };
        let zeros = row_like(engine, rows, "zeros")?;
        let size = Norms::new(engine, &one, zeros)?;
        let along = Along::new(engine, rows, signs)?;
        let craft = Craft::new(engine, on, [moments.mean, signs])?;
        let malicious = on.malicious.iter().map(|client| *client as usize).collect();
        Ok(Box::new(AgainstKrum {
            malicious,
            moments,
            signs: record,
            distances,
            norms,
            size,
            along,
            craft,
            chosen: None,
        }))
    }
}

struct AgainstKrum {
    malicious: Vec<usize>,
    moments: Moments,
    signs: Recording,
    distances: Distances,
    norms: Norms,
    /// The norm of the signs.
    size: Norms,
    along: Along,
    craft: Craft,
    chosen: Option<f64>,
}

/// What the simulated Krum knows of the clients.
struct Simulation<'a> {
    /// Squared distances between all clients' updates; those of malicious clients are not read.
    distances: &'a Square,
    benign: &'a [usize],
    malicious: &'a [usize],
    /// `||g_j||^2` and `<g_j, s>` of all clients, and `||s||^2`, with the signs s.
    squares: &'a [f64],
    along: &'a [f64],
    size: f64,
}

impl Simulation<'_> {
    /// Whether Krum selects a malicious client that sends -lambda s.
    fn picks_malicious(&self, lambda: f64) -> bool {
        let n = self.distances.clients();
        let is_malicious = |client: usize| self.malicious.contains(&client);
        let to = |benign: usize| {
            let square = self.squares[benign] + 2.0 * lambda * self.along[benign] + lambda * lambda * self.size;
            square.max(0.0)
        };
        let distance = |i: usize, j: usize| match (is_malicious(i), is_malicious(j)) {
            (false, false) => self.distances.at(i, j),
            (true, true) => 0.0,
            (true, false) => to(j),
            (false, true) => to(i),
        };
        let simulated = Square::new(n, (0..n * n).map(|at| distance(at / n, at % n)).collect());
        let mut present: Vec<usize> = self.benign.iter().chain(self.malicious).copied().collect();
        present.sort_unstable();
        let neighbours = present.len().saturating_sub(self.malicious.len() + 2).max(1);
        let scores = krum_scores(&simulated, &present, neighbours);
        ranking(&scores, &present).first().is_some_and(|client| is_malicious(*client))
    }

    fn lambda(&self) -> f64 {
        let largest = self.benign.iter().map(|client| self.squares[*client]).fold(0.0, f64::max).sqrt();
        let mut lambda = largest;
        for _ in 0..HALVINGS {
            if self.picks_malicious(lambda) {
                break;
            }
            lambda *= 0.5;
        }
        lambda
    }
}

impl Attacker for AgainstKrum {
    fn recordings(&self) -> Vec<&Recording> {
        let norms = [self.norms.recording(), self.size.recording()];
        let own = [self.moments.recording(), &self.signs, self.distances.recording(), self.along.recording()];
        own.into_iter().chain(norms).chain(self.craft.recordings()).collect()
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()> {
        self.chosen = None;
        if round.clients.is_empty() {
            return Ok(());
        }
        self.moments.run(engine, &round.clients)?;
        engine.run(&self.signs, 1)?;
        let distances = self.distances.read(engine)?;
        let squares: Vec<f64> = self.norms.read(engine)?.into_iter().map(|norm| norm.value().powi(2)).collect();
        let size = self.size.read(engine)?.first().map_or(f64::NAN, |norm| norm.value().powi(2));
        let along = self.along.read(engine)?;
        let simulation = Simulation {
            distances: &distances,
            benign: &round.clients,
            malicious: &self.malicious,
            squares: &squares,
            along: &along,
            size,
        };
        let lambda = simulation.lambda();
        self.chosen = Some(lambda);
        self.craft.run(engine, 0.0, -lambda)
    }

    fn chosen(&self) -> Option<f64> {
        self.chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn krum_must_be_possible() {
        assert_eq!(FangKrum {}.check(5, &[0]), Ok(()));
        let text = FangKrum {}.check(4, &[0]).unwrap_err();
        assert_eq!(text, "Krum, which it simulates, needs n > 2f + 2; n = 4, f = 1");
    }

    /// On a line with signs of one coordinate: the simulated Krum is that of the real updates.
    #[test]
    fn lambda_is_halved_until_krum_takes_it() {
        let updates = [4.0f64, 5.0, 6.0, 5.5, 4.5, f64::NAN, f64::NAN];
        let at = |i: usize, j: usize| (updates[i] - updates[j]).powi(2);
        let distances = Square::new(7, (0..49).map(|k| at(k / 7, k % 7)).collect());
        let squares: Vec<f64> = updates.iter().map(|u| u * u).collect();
        let simulation = Simulation {
            distances: &distances,
            benign: &[0, 1, 2, 3, 4],
            malicious: &[5, 6],
            squares: &squares,
            along: &updates,
            size: 1.0,
        };
        let lambda = simulation.lambda();
        // With n - f - 2 = 3 neighbours, the malicious clients' scores are their distances to the two nearest benign ones.
        let picks = |lambda: f64| {
            let mut own: Vec<f64> = updates[..5].iter().map(|u| (u + lambda).powi(2)).collect();
            own.sort_by(f64::total_cmp);
            let benign = (0..5).map(|i| {
                let others = (0..5).filter(|j| *j != i).map(|j| at(i, j)).chain([(updates[i] + lambda).powi(2); 2]);
                let mut others: Vec<f64> = others.collect();
                others.sort_by(f64::total_cmp);
                others[..3].iter().sum::<f64>()
            });
            own[0] + own[1] < benign.fold(f64::INFINITY, f64::min)
        };
        let halvings = (6.0 / lambda).log2();
        assert!(halvings.fract() == 0.0 && halvings > 0.0, "{lambda}");
        assert_eq!(picks(lambda), halvings < f64::from(HALVINGS));
        assert!(!picks(2.0 * lambda));
    }
}
