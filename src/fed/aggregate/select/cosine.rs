//! Directions of updates.

use super::super::device::Square;
use super::relative;

/// Cosines between the updates with inner products `dots`; 0 with an update of norm 0.
pub(in crate::fed::aggregate) fn cosines(dots: &Square) -> Square {
    let n = dots.clients();
    let cosine = |i: usize, j: usize| {
        let norms = dots.at(i, i).sqrt() * dots.at(j, j).sqrt();
        if norms > 0.0 { dots.at(i, j) / norms } else { 0.0 }
    };
    Square::new(n, (0..n * n).map(|at| cosine(at / n, at % n)).collect())
}

/// The first cluster of at least `majority` clients that single linkage over cosine distances forms, ascending, and the margin to the
/// next link. FLAME (Nguyen et al. 2022) asks HDBSCAN for a cluster of more than half of the clients, which is this one.
pub(in crate::fed::aggregate) fn first_majority(
    cosines: &Square,
    present: &[usize],
    majority: usize,
) -> (Vec<usize>, f64) {
    let mut links: Vec<(f64, usize, usize)> = Vec::new();
    for (at, i) in present.iter().enumerate() {
        links.extend(present[at + 1..].iter().map(|j| (1.0 - cosines.at(*i, *j), *i, *j)));
    }
    links.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut cluster: Vec<usize> = (0..cosines.clients()).collect();
    for (at, (distance, i, j)) in links.iter().enumerate() {
        let (a, b) = (cluster[*i], cluster[*j]);
        if a == b {
            continue;
        }
        cluster.iter_mut().filter(|c| **c == b).for_each(|c| *c = a);
        let members: Vec<usize> = present.iter().copied().filter(|c| cluster[*c] == a).collect();
        if members.len() >= majority {
            let next = links[at + 1..].iter().find(|(_, i, j)| cluster[*i] != cluster[*j]);
            let margin = next.map_or(f64::INFINITY, |(next, _, _)| relative(*distance, *next));
            return (members, margin);
        }
    }
    // One client, or none.
    (present.to_vec(), f64::INFINITY)
}
