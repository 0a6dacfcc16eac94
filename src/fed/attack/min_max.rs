//! Min-max and min-sum (Shejwalkar and Houmansadr 2021): as far from the mean as some benign client is from the others.

use super::device::{Along, Craft, Moments, record_sign};
use super::knowledge::reach;
use super::{Attacker, Knowledge, Reach, Sight, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::device::{Distances, Matrix, Norms, Square, row_like};
use crate::fed::rows::{Piece, Rows};
use crate::kernels::fed::pairs::MOST_CLIENTS;
use crate::key::{DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The update is m - gamma p with the mean m of the known updates and a direction p, gamma as large as the distance to the furthest
/// known update, which may not exceed the largest distance between two of them, allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinMax {
    /// The direction.
    pub direction: Direction,
    /// Whose updates are known.
    pub knowledge: Reach,
}

/// The direction in which an update leaves the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// m / ||m||.
    Unit,
    /// The signs of m.
    Sign,
    /// The deviation of the known updates, with divisor b - 1 for b of them.
    Std,
}

/// The row of the direction.
pub(super) const fn direction(kind: &'static [&'static str]) -> Key {
    Key::new(
        "attack.update.direction",
        ValueKind::Choice(&["unit", "sign", "std"]),
        DefaultValue::Text("std"),
        "direction in which the update leaves the mean: against the mean, against its signs, or along the updates' deviation",
    )
    .of(UPDATE, kind)
}

pub(super) const OPTIONS: &[Key] = &[direction(&["min-max"]), reach(&["min-max"])];

impl UpdateAttack for MinMax {
    fn knowledge(&self) -> Knowledge {
        self.knowledge.knowledge()
    }

    fn check(&self, clients: u32, malicious: &[u32]) -> Result<(), String> {
        self.knowledge.check(clients, malicious, 2, "the largest distance")
    }

    fn most_clients(&self) -> u32 {
        MOST_CLIENTS
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        Ok(Box::new(Leaving::new(engine, on, self.direction, furthest, true)?))
    }
}

/// What limits gamma.
pub(super) struct Limits<'a> {
    /// Squared distances between all clients' updates.
    pub distances: &'a Square,
    /// The known updates g_j.
    pub known: &'a [usize],
    /// `<e_j, p>` with e_j = m - g_j; empty if gamma does not depend on them.
    pub along: &'a [f64],
    /// `||p||^2`.
    pub square: f64,
}

impl Limits<'_> {
    /// sum_k `||g_j - g_k||^2` for each known update.
    pub fn sums(&self) -> Vec<f64> {
        self.known.iter().map(|j| self.known.iter().map(|k| self.distances.at(*j, *k)).sum()).collect()
    }
}

/// The largest gamma with `||e_j - gamma p||` at most the largest distance for all j: the least of the larger roots.
fn furthest(limits: &Limits) -> f64 {
    let (known, n) = (limits.known, limits.known.len() as f64);
    let pairs = known.iter().flat_map(|j| known.iter().map(|k| limits.distances.at(*j, *k)));
    let most = pairs.fold(0.0, f64::max);
    let sums = limits.sums();
    let all: f64 = sums.iter().sum();
    let root = |(sum, along): (&f64, &f64)| {
        // ||m - g_j||^2 is the mean distance less half of the mean over all pairs.
        let square = (sum / n - 0.5 * all / (n * n)).max(0.0);
        let spare = (most - square).max(0.0);
        (along + (along * along + limits.square * spare).sqrt()) / limits.square
    };
    sums.iter().zip(limits.along).map(root).fold(f64::INFINITY, f64::min)
}

/// An update m - gamma p on one network.
pub(super) struct Leaving {
    direction: Direction,
    gamma: fn(&Limits) -> f64,
    moments: Moments,
    /// Makes the signs, if they are the direction.
    signs: Recording,
    distances: Distances,
    norm: Norms,
    /// The products with the direction, if gamma depends on them.
    along: Option<Along>,
    craft: Craft,
    chosen: Option<f64>,
}

impl Leaving {
    /// With the function that gives the largest gamma, `from_products` with the direction or without.
    pub fn new(
        engine: &mut dyn Engine,
        on: &Target,
        direction: Direction,
        gamma: fn(&Limits) -> f64,
        from_products: bool,
    ) -> Result<Leaving> {
        let (rows, mut signs) = (&on.network.weights, Recording::new());
        let moments = Moments::new(engine, rows, 1)?;
        let p = match direction {
            Direction::Unit => moments.mean,
            Direction::Sign => record_sign(engine, &mut signs, moments.mean, rows)?,
            Direction::Std => moments.deviation,
        };
        let matrix = Matrix::new(engine, rows)?;
        let distances = Distances::new(engine, &matrix)?;
        let piece = Piece { first: 0, clients: 1, rows: p.slice(0, rows.words) };
        let one = Rows { name: format!("{} direction", rows.name), pieces: vec![piece], ..rows.clone() };
        let zeros = row_like(engine, rows, "zeros")?;
        let norm = Norms::new(engine, &one, zeros)?;
        let along = from_products.then(|| Along::new(engine, rows, p)).transpose()?;
        let craft = Craft::new(engine, on, [moments.mean, p])?;
        Ok(Leaving { direction, gamma, moments, signs, distances, norm, along, craft, chosen: None })
    }
}

impl Attacker for Leaving {
    fn recordings(&self) -> Vec<&Recording> {
        let own = [self.moments.recording(), &self.signs, self.distances.recording(), self.norm.recording()];
        own.into_iter().chain(self.along.iter().map(Along::recording)).chain(self.craft.recordings()).collect()
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()> {
        let known = &round.clients;
        self.chosen = None;
        if known.len() < 2 {
            return Ok(());
        }
        self.moments.run(engine, known)?;
        engine.run(&self.signs, 1)?;
        let distances = self.distances.read(engine)?;
        let norm = self.norm.read(engine)?.first().map_or(f64::NAN, |norm| norm.value());
        let all = self.along.as_ref().map(|along| along.read(engine)).transpose()?;
        let along = all.map_or(Vec::new(), |all| {
            let mean = known.iter().map(|j| all[*j]).sum::<f64>() / known.len() as f64;
            known.iter().map(|j| mean - all[*j]).collect()
        });
        let limits = Limits { distances: &distances, known, along: &along, square: norm * norm };
        // Without a direction the mean is sent.
        let gamma = if norm == 0.0 { 0.0 } else { (self.gamma)(&limits) };
        if !gamma.is_finite() {
            return Ok(());
        }
        match self.direction {
            Direction::Unit => {
                self.chosen = Some(gamma * norm);
                self.craft.run(engine, 1.0 - gamma, 0.0)
            }
            Direction::Sign | Direction::Std => {
                self.chosen = Some(gamma);
                self.craft.run(engine, 1.0, -gamma)
            }
        }
    }

    fn chosen(&self) -> Option<f64> {
        self.chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_update_is_at_the_largest_distance() {
        // Updates 0, 1 and 5 on a line; p = 1: m - gamma may be 5 from the update 5, and 0 is further from none.
        let values = [0.0f64, 1.0, 5.0];
        let at = |j: usize, k: usize| (values[j] - values[k]).powi(2);
        let distances = Square::new(3, (0..9).map(|i| at(i / 3, i % 3)).collect());
        let along: Vec<f64> = values.iter().map(|g| 2.0 - g).collect();
        let limits = Limits { distances: &distances, known: &[0, 1, 2], along: &along, square: 1.0 };
        assert!((furthest(&limits) - 2.0).abs() < 1e-12, "m - gamma = 0 is 5 from 5");
        let text = MinMax { direction: Direction::Std, knowledge: Reach::Own }.check(5, &[2]).unwrap_err();
        assert!(text.contains("at least 2 malicious clients; there are 1"), "{text}");
    }
}
