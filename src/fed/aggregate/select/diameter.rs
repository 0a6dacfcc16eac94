//! Subsets of least diameter (minimum diameter averaging, El Mhamdi et al. 2018).

use super::super::device::Square;
use super::relative;

/// Largest number of subsets that are compared.
pub(in crate::fed::aggregate) const MOST_SUBSETS: u64 = 100_000;

/// The number of ways to leave out `f` of `n` clients; `None` beyond u64.
pub(in crate::fed::aggregate) fn subsets(n: u64, f: u64) -> Option<u64> {
    (0..f).try_fold(1u64, |all, i| Some(all.checked_mul(n.saturating_sub(i))? / (i + 1)))
}

/// The `count` clients of `present` whose largest squared distance is least, the first such subset in lexicographic order, and the
/// margin to the next larger diameter. Depth first; a branch ends when its diameter exceeds the two least so far.
pub(in crate::fed::aggregate) fn least_diameter(
    distances: &Square,
    present: &[usize],
    count: usize,
) -> (Vec<usize>, f64) {
    let mut search = Search { distances, present, count, best: None, next: f64::INFINITY };
    search.extend(0, &mut Vec::new(), 0.0);
    let (diameter, chosen) = search.best.unwrap_or((f64::INFINITY, present[..count].to_vec()));
    let margin = if search.next.is_finite() { relative(diameter, search.next) } else { f64::INFINITY };
    (chosen, margin)
}

struct Search<'a> {
    distances: &'a Square,
    present: &'a [usize],
    count: usize,
    /// Least diameter and its subset.
    best: Option<(f64, Vec<usize>)>,
    /// The least diameter above it.
    next: f64,
}

impl Search<'_> {
    fn extend(&mut self, from: usize, chosen: &mut Vec<usize>, diameter: f64) {
        let best = self.best.as_ref().map(|(best, _)| *best);
        if best.is_some_and(|best| diameter > best && diameter >= self.next) {
            return;
        }
        if chosen.len() == self.count {
            match best {
                Some(best) if diameter == best => {}
                Some(best) if diameter > best => self.next = diameter,
                // Infinite diameters are no choice: the first subset stands in.
                _ if !diameter.is_finite() => {}
                _ => {
                    self.next = best.unwrap_or(f64::INFINITY);
                    self.best = Some((diameter, chosen.clone()));
                }
            }
            return;
        }
        for at in from..self.present.len() {
            if self.present.len() - at < self.count - chosen.len() {
                return;
            }
            let client = self.present[at];
            let wider = chosen.iter().map(|other| self.distances.at(*other, client)).fold(diameter, f64::max);
            chosen.push(client);
            self.extend(at + 1, chosen, wider);
            chosen.pop();
        }
    }
}
