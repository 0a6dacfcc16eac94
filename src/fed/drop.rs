//! Clients dropped from a round because of non-finite values (`federation.nonfinite = "drop"`): the record of them, and the
//! weights of the others.

/// A run's record of dropped clients.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// The round since which each client's moments accumulate: 0, or the round after it was dropped.
    pub since: Vec<u32>,
    /// Number of consecutive rounds, up to now, in which every client was dropped.
    pub empty: u32,
}

impl Dropped {
    pub(super) fn none(clients: usize) -> Self {
        Dropped { since: vec![0; clients], empty: 0 }
    }
}

/// `weights` without the dropped clients, renormalised to sum 1; in proportion to `base` if the others have no weight, all 0 if
/// there are no others. Bit-equal if no client is dropped.
pub(super) fn without(weights: &[f64], base: &[f64], dropped: &[bool]) -> Vec<f64> {
    if !dropped.contains(&true) {
        return weights.to_vec();
    }
    let kept = |weights: &[f64]| -> Vec<f64> {
        weights.iter().zip(dropped).map(|(w, dropped)| if *dropped { 0.0 } else { *w }).collect()
    };
    let sum = |weights: &[f64]| weights.iter().sum::<f64>();
    let found = [kept(weights), kept(base)].into_iter().find(|w| sum(w) > 0.0);
    found.map_or(vec![0.0; weights.len()], |w| w.iter().map(|v| v / sum(&w)).collect())
}

/// The dropped clients.
pub(super) fn left_out(dropped: &[bool]) -> Vec<u32> {
    (0..).zip(dropped).filter(|(_, dropped)| **dropped).map(|(client, _)| client).collect()
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn the_others_share_a_dropped_weight() {
        let odd = [0.1, 0.2, 0.7 + 1e-16];
        assert_eq!(without(&odd, &[1.0; 3], &[false; 3]), odd);
        assert_eq!(without(&[0.5, 0.25, 0.25], &[1.0; 3], &[true, false, false]), [0.0, 0.5, 0.5]);
        assert_eq!(without(&[1.0, 0.0, 0.0], &[0.25, 0.25, 0.5], &[true, false, true]), [0.0, 1.0, 0.0]);
        assert_eq!(without(&[0.5, 0.5], &[0.5, 0.5], &[true, true]), [0.0, 0.0]);
    }
}
