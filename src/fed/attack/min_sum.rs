//! Min-sum (Shejwalkar and Houmansadr 2021): as far from all benign clients together as one of them is.

use super::knowledge::reach;
use super::min_max::{Direction, Leaving, Limits, direction};
use super::{Attacker, Knowledge, Reach, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::Engine;
use crate::kernels::fed::pairs::MOST_CLIENTS;
use crate::key::{DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// As [`MinMax`](super::MinMax), but the sum of squared distances to the known updates may not exceed that of one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinSum {
    /// The direction.
    pub direction: Direction,
    /// Whose sum of squared distances is the limit.
    pub bound: SumBound,
    /// Whose updates are known.
    pub knowledge: Reach,
}

/// The sum of squared distances that limits min-sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SumBound {
    /// The largest, as in the paper.
    Max,
    /// The least, as in the authors' code.
    Min,
}

pub(super) const OPTIONS: &[Key] = &[
    direction(&["min-sum"]),
    Key::new(
        "attack.update.bound",
        ValueKind::Choice(&["max", "min"]),
        DefaultValue::Text("max"),
        "sum of squared distances between a known update and the others that is the limit: the largest as in the paper, or the \
         least as in the authors' code",
    )
    .of(UPDATE, &["min-sum"]),
    reach(&["min-sum"]),
];

impl UpdateAttack for MinSum {
    fn knowledge(&self) -> Knowledge {
        self.knowledge.knowledge()
    }

    fn check(&self, clients: u32, malicious: &[u32]) -> Result<(), String> {
        self.knowledge.check(clients, malicious, 2, "the sum of distances")
    }

    fn most_clients(&self) -> u32 {
        MOST_CLIENTS
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        let gamma: fn(&Limits) -> f64 = match self.bound {
            SumBound::Max => |limits| gamma(limits, f64::max),
            SumBound::Min => |limits| gamma(limits, f64::min),
        };
        Ok(Box::new(Leaving::new(engine, on, self.direction, gamma, false)?))
    }
}

/// sum_j `||e_j - gamma p||^2` = sum_j `||e_j||^2` + b gamma^2 `||p||^2`, because the e_j sum to 0.
fn gamma(limits: &Limits, choose: fn(f64, f64) -> f64) -> f64 {
    let (sums, b) = (limits.sums(), limits.known.len() as f64);
    let around_mean = sums.iter().sum::<f64>() / (2.0 * b);
    let limit = sums.iter().copied().reduce(choose).unwrap_or(0.0);
    ((limit - around_mean).max(0.0) / (b * limits.square)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fed::aggregate::device::Square;

    #[test]
    fn the_sum_of_distances_reaches_its_limit() {
        let values = [0.0f64, 1.0, 5.0, 2.0];
        let at = |j: usize, k: usize| (values[j] - values[k]).powi(2);
        let distances = Square::new(4, (0..16).map(|i| at(i / 4, i % 4)).collect());
        let limits = Limits { distances: &distances, known: &[0, 1, 2, 3], along: &[], square: 4.0 };
        // p = 2 on the line, mean 2.
        let sum = |x: f64| values.iter().map(|g| (x - g).powi(2)).sum::<f64>();
        for (choose, limit) in [(f64::max as fn(f64, f64) -> f64, sum(5.0)), (f64::min, sum(2.0))] {
            let found = gamma(&limits, choose);
            assert!((sum(2.0 - 2.0 * found) - limit).abs() < 1e-9, "{found}");
        }
    }
}
