//! The clients' weights before any detector or rule changes them.

use serde::{Deserialize, Serialize};

/// The clients' weights in the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// 1 / clients.
    Equal,
    /// In proportion to the number of images that a client holds.
    Data,
}

impl Weights {
    /// Weights that sum to one, for clients with `counts` images each.
    pub fn of(self, counts: &[usize]) -> Vec<f64> {
        let total: usize = counts.iter().sum();
        let equal = 1.0 / counts.len().max(1) as f64;
        match self {
            Weights::Data if total > 0 => counts.iter().map(|n| *n as f64 / total as f64).collect(),
            Weights::Data | Weights::Equal => vec![equal; counts.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one() {
        assert_eq!(Weights::Equal.of(&[5, 15]), [0.5, 0.5]);
        assert_eq!(Weights::Data.of(&[5, 15]), [0.25, 0.75]);
    }
}
