//! An isolation forest over a few points, with the semantics of scikit-learn's `IsolationForest` at `max_samples = n` and
//! `contamination = "auto"` (Liu, Ting and Zhou 2008).

use crate::kernels::rng::HostRng;

/// Trees per forest.
pub const TREES: usize = 100;
/// Clients with scores below this are flagged.
pub const THRESHOLD: f64 = -0.5;
/// A feature whose range within a node does not exceed this counts as constant there.
const CONSTANT: f32 = 1e-7;

/// The score of every point in a forest fitted on the same points: -2^(-mean path length / c(n)), between -1 (isolated at once)
/// and 0. `points` are n rows of one length. A single point scores -1, as 0/0 does in scikit-learn.
pub fn scores(points: &[Vec<f32>], rng: &mut HostRng) -> Vec<f64> {
    let n = points.len();
    let depth_limit = usize::BITS - n.max(2).saturating_sub(1).leading_zeros();
    let mut depths = vec![0.0; n];
    for _ in 0..TREES {
        let members = (0..n).collect();
        isolate(points, members, 0, depth_limit, rng, &mut depths);
    }
    let unit = TREES as f64 * path_length(n);
    depths.iter().map(|d| if unit == 0.0 { -1.0 } else { -(-1.0 - d / unit).exp2() }).collect()
}

/// Grows one tree over `members` and adds each point's path length less c(n): its leaf's depth plus the average depth of an
/// unbuilt subtree over the leaf's members. If all points are equal the result is exactly 0, and the score is the threshold
/// itself.
fn isolate(points: &[Vec<f32>], members: Vec<usize>, depth: u32, limit: u32, rng: &mut HostRng, depths: &mut [f64]) {
    let split = if depth < limit { split(points, &members, rng) } else { None };
    let Some((feature, at)) = split else {
        let length = depth as f64 + (path_length(members.len()) - path_length(points.len()));
        members.into_iter().for_each(|i| depths[i] += length);
        return;
    };
    let (left, right) = members.into_iter().partition(|i| points[*i][feature] <= at);
    isolate(points, left, depth + 1, limit, rng, depths);
    isolate(points, right, depth + 1, limit, rng, depths);
}

/// A feature drawn among those that vary within the node, and a threshold drawn uniformly from its range.
fn split(points: &[Vec<f32>], members: &[usize], rng: &mut HostRng) -> Option<(usize, f32)> {
    let first = points.get(*members.first()?)?;
    let range = |feature: usize| {
        let values = members.iter().map(|i| points[*i][feature]);
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ranges = (0..first.len()).map(|f| (f, range(f)));
    let varying: Vec<_> = ranges.filter(|(_, (low, high))| *high > *low + CONSTANT).collect();
    if varying.is_empty() {
        return None;
    }
    let (feature, (low, high)) = varying[rng.below(varying.len() as u32) as usize];
    let at = (low as f64 + (high as f64 - low as f64) * rng.uniform()) as f32;
    // The largest value must go to the right.
    Some((feature, if at < high { at } else { low }))
}

/// c(n): the mean path length of an unsuccessful search in a binary search tree of n points.
fn path_length(n: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let m = n as f64;
            2.0 * ((m - 1.0).ln() + EULER) - 2.0 * (m - 1.0) / m
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rng::Stream;

    #[derive(serde::Deserialize)]
    struct Case {
        points: Vec<Vec<f32>>,
        mean_scores: Vec<f64>,
    }

    #[derive(serde::Deserialize)]
    struct Fixture {
        forests: u32,
        cases: Vec<Case>,
    }

    /// Means over as many forests as in the fixture.
    #[test]
    fn agrees_with_scikit_learn() {
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../../tests/fixtures/isolation_forest.json")).unwrap();
        assert_eq!(fixture.cases.len(), 20);
        let mut flagged = 0;
        for (index, case) in fixture.cases.iter().enumerate() {
            let mut sums = vec![0.0; case.points.len()];
            for forest in 0..fixture.forests {
                let mut rng = HostRng::new(7, Stream::DETECTOR, index as u32, forest);
                for (sum, score) in sums.iter_mut().zip(scores(&case.points, &mut rng)) {
                    *sum += score / f64::from(fixture.forests);
                }
            }
            for (i, (ours, theirs)) in sums.iter().zip(&case.mean_scores).enumerate() {
                assert!((ours - theirs).abs() < 0.02, "case {index}, point {i}: {ours}, scikit-learn {theirs}");
                let close = (theirs - THRESHOLD).abs() < 0.02;
                assert!(close || (*ours < THRESHOLD) == (*theirs < THRESHOLD), "case {index}, point {i}: {ours}");
                flagged += usize::from(*theirs < THRESHOLD);
            }
        }
        assert!(flagged >= 20, "the fixture must hold outliers: {flagged}");
    }

    #[test]
    fn equal_points_are_not_isolated() {
        let mut rng = HostRng::new(1, Stream::DETECTOR, 0, 0);
        let equal = scores(&vec![vec![0.0, 3.0]; 5], &mut rng);
        assert!(equal.iter().all(|s| (s + 0.5).abs() < 1e-12), "{equal:?}");
        // Equal, or closer than a feature's least range: no score is below the threshold, whatever the rounding at n.
        for n in 2..=200 {
            for values in [[0.0f32, 0.0], [3.0, 3.0], [1e30, 1e30], [0.5, 0.500_000_06]] {
                let points: Vec<Vec<f32>> = (0..n).map(|i| vec![0.0, values[i % 2]]).collect();
                let scores = scores(&points, &mut rng);
                assert!(scores.iter().all(|s| *s >= THRESHOLD), "{n} points of {values:?}: {scores:?}");
            }
        }
        let apart = scores(&[vec![0.0, 1.0], vec![0.0, 1.1], vec![0.0, 0.9], vec![0.0, 30.0]], &mut rng);
        assert!(apart[3] < -0.6 && apart[..3].iter().all(|s| *s > -0.5), "{apart:?}");
        assert_eq!(scores(&[vec![1.0]], &mut rng), [-1.0]);
    }
}
