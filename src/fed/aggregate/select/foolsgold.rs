//! FoolsGold's weights (Fung et al. 2020).

use super::super::device::Square;

/// The weights of the `present` clients, within 0 to 1, from the cosines between their histories: clients whose histories point the
/// same way lose weight. 1 for all if all histories are parallel, where the authors' code divides 0 by 0.
pub(in crate::fed::aggregate) fn foolsgold(cosines: &Square, present: &[usize], kappa: f64) -> Vec<f64> {
    let others = |i: usize| present.iter().copied().filter(move |j| *j != i);
    // The diagonal is 0, so a client without similar others has a similarity of 0 with itself.
    let largest: Vec<f64> = present.iter().map(|i| others(*i).map(|j| cosines.at(*i, j)).fold(0.0, f64::max)).collect();
    let pardoned = |a: usize, b: usize| {
        let cosine = cosines.at(present[a], present[b]);
        if largest[a] < largest[b] { cosine * largest[a] / largest[b] } else { cosine }
    };
    let likeness = |a: usize| (0..present.len()).filter(|b| *b != a).map(|b| pardoned(a, b)).fold(0.0, f64::max);
    let mut weights: Vec<f64> = (0..present.len()).map(|a| (1.0 - likeness(a)).clamp(0.0, 1.0)).collect();
    let most = weights.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return vec![1.0; present.len()];
    }
    for weight in &mut weights {
        let share = *weight / most;
        let share = if share == 1.0 { 0.99 } else { share };
        *weight = (kappa * ((share / (1.0 - share)).ln() + 0.5)).clamp(0.0, 1.0);
    }
    weights
}
