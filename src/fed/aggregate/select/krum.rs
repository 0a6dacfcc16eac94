//! Krum's scores (Blanchard et al. 2017).

use super::super::device::Square;

/// For each client of `present` the sum of its squared distances from its `neighbours` nearest others.
pub(in crate::fed) fn krum_scores(distances: &Square, present: &[usize], neighbours: usize) -> Vec<f64> {
    let score = |i: &usize| {
        let mut others: Vec<f64> = present.iter().filter(|j| *j != i).map(|j| distances.at(*i, *j)).collect();
        others.sort_by(f64::total_cmp);
        others.iter().take(neighbours).sum()
    };
    present.iter().map(score).collect()
}

/// `present` in ascending order of their scores.
pub(in crate::fed) fn ranking(scores: &[f64], present: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..present.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    order.into_iter().map(|at| present[at]).collect()
}

/// The `count` clients of `present` nearest to client `of`, itself first, and the margin of the choice.
pub(in crate::fed::aggregate) fn nearest(
    distances: &Square,
    present: &[usize],
    of: usize,
    count: usize,
) -> (Vec<usize>, f64) {
    // Itself before all others, even one at distance 0.
    let scores: Vec<f64> = present.iter().map(|j| if *j == of { -1.0 } else { distances.at(of, *j) }).collect();
    let mut chosen = ranking(&scores, present);
    chosen.truncate(count);
    chosen.sort_unstable();
    (chosen, super::margin(scores, count))
}
