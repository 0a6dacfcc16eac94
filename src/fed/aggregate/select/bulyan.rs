//! Bulyan's choice (El Mhamdi et al. 2018).

use super::super::device::Square;
use super::{krum_scores, margin, ranking};

/// The `present` clients that Krum picks in turn, `count` of them, each among those that are left and with max(1, left - f - 2)
/// neighbours; ascending, with the least margin.
pub(in crate::fed::aggregate) fn bulyan(
    distances: &Square,
    present: &[usize],
    f: usize,
    count: usize,
) -> (Vec<usize>, f64) {
    let (mut left, mut chosen, mut least) = (present.to_vec(), Vec::new(), f64::INFINITY);
    while chosen.len() < count && !left.is_empty() {
        let neighbours = left.len().saturating_sub(f + 2).max(1);
        let scores = krum_scores(distances, &left, neighbours);
        let winner = ranking(&scores, &left)[0];
        least = least.min(margin(scores, 1));
        left.retain(|client| *client != winner);
        chosen.push(winner);
    }
    chosen.sort_unstable();
    (chosen, least)
}
