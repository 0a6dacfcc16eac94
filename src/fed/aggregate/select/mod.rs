//! Decisions on the host, in f64, from a few numbers per client. Clients are chosen among those `present`, ascending; of equal scores
//! the lower client comes first.

mod bulyan;
mod cosine;
mod diameter;
mod foolsgold;
mod krum;
mod outlier;

pub(super) use bulyan::bulyan;
pub(super) use cosine::{cosines, first_majority};
pub(super) use diameter::{MOST_SUBSETS, least_diameter, subsets};
pub(super) use foolsgold::foolsgold;
pub(super) use krum::nearest;
pub(in crate::fed) use krum::{krum_scores, ranking};
pub(in crate::fed) use outlier::spread_scores;

/// The relative gap between the `k`-th least score and the next larger one: how little would change the choice of the `k` least.
/// Equal scores are decided by client, so they are passed over. Infinite if nothing is larger.
pub(super) fn margin(scores: impl IntoIterator<Item = f64>, k: usize) -> f64 {
    let mut sorted: Vec<f64> = scores.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    match (k.checked_sub(1).map(|at| sorted[at]), sorted.iter().find(|s| **s > sorted[k.max(1) - 1])) {
        (Some(last), Some(next)) if next.is_finite() => relative(last, *next),
        _ => f64::INFINITY,
    }
}

/// (b - a) / |b| for a below b.
pub(super) fn relative(a: f64, b: f64) -> f64 {
    (b - a) / b.abs().max(1e-300)
}

/// The median of some numbers.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n => 0.5 * sorted[(n - 1) / 2] + 0.5 * sorted[n / 2],
    }
}

#[cfg(test)]
mod tests;
