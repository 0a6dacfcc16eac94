use super::super::device::Square;
use super::*;

fn square(points: &[f64]) -> Square {
    let n = points.len();
    Square::new(n, (0..n * n).map(|at| (points[at / n] - points[at % n]).powi(2)).collect())
}

/// Inner products of vectors.
fn dots(vectors: &[&[f64]]) -> Square {
    let n = vectors.len();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum();
    Square::new(n, (0..n * n).map(|at| dot(vectors[at / n], vectors[at % n])).collect())
}

#[test]
fn krum_adds_the_nearest_and_ties_go_to_the_lower_client() {
    let distances = square(&[0.0, 1.0, 3.0, 100.0, 2.0]);
    assert_eq!(krum_scores(&distances, &[0, 1, 2, 3, 4], 2), [5.0, 2.0, 5.0, 97.0f64.powi(2) + 98.0f64.powi(2), 2.0]);
    // Client 1 absent: the others are scored without it.
    assert_eq!(krum_scores(&distances, &[0, 2, 4], 1), [4.0, 1.0, 1.0]);
    assert_eq!(ranking(&[4.0, 1.0, 1.0], &[0, 2, 4]), [2, 4, 0]);
    assert_eq!(nearest(&distances, &[0, 1, 2, 3, 4], 3, 2).0, [2, 3]);
}

#[test]
fn margins_pass_over_ties() {
    assert_eq!(margin([1.0, 1.0, 2.0], 1), 0.5);
    assert_eq!(margin([4.0, 3.0], 1), 0.25);
    assert_eq!(margin([1.0, 1.0], 1), f64::INFINITY);
    assert_eq!(margin([1.0, f64::INFINITY], 1), f64::INFINITY);
    assert_eq!(margin([1.0, 2.0], 2), f64::INFINITY);
}

#[test]
fn bulyan_asks_krum_again_without_the_winners() {
    // Of seven with one at 50: five are chosen, never that one.
    let distances = square(&[0.0, 1.0, 2.5, 50.0, 4.5, 7.0, 10.0]);
    let (chosen, margin) = bulyan(&distances, &[0, 1, 2, 3, 4, 5, 6], 1, 5);
    assert_eq!((chosen.len(), chosen.contains(&3)), (5, false));
    assert!(margin > 0.0);
}

#[test]
fn the_densest_subset_is_found_among_all() {
    let points = [0.0, 9.0, 1.0, 10.0, 10.5, 2.5, 30.0];
    let distances = square(&points);
    let clients: Vec<usize> = (0..7).collect();
    for count in 1..7 {
        let (chosen, margin) = least_diameter(&distances, &clients, count);
        // Every subset, by its bits.
        let diameter =
            |set: &[usize]| set.iter().flat_map(|i| set.iter().map(|j| distances.at(*i, *j))).fold(0.0, f64::max);
        let all: Vec<Vec<usize>> = (0u32..1 << 7)
            .filter(|bits| bits.count_ones() == count as u32)
            .map(|bits| (0..7).filter(|i| bits >> i & 1 == 1).collect())
            .collect();
        let least = all.iter().map(|set| diameter(set)).fold(f64::INFINITY, f64::min);
        let first = all.iter().filter(|set| diameter(set) == least).min().unwrap();
        assert_eq!(&chosen, first, "{count}");
        let next = all.iter().map(|set| diameter(set)).filter(|d| *d > least).fold(f64::INFINITY, f64::min);
        let expected = if next.is_finite() { (next - least) / next } else { f64::INFINITY };
        assert_eq!(margin, expected, "{count}");
    }
    assert_eq!((subsets(7, 3), subsets(20, 0), subsets(3, 5)), (Some(35), Some(1), Some(0)));
    assert_eq!(subsets(1000, 500), None);
}

#[test]
fn the_majority_that_points_one_way_is_admitted() {
    let cosines = cosines(&dots(&[&[1.0, 0.1], &[1.0, 0.0], &[-1.0, 3.0], &[2.0, 0.1], &[0.0, 0.0]]));
    assert_eq!(cosines.at(0, 4), 0.0, "an update of 0 has no direction");
    assert_eq!(first_majority(&cosines, &[0, 1, 2, 3, 4], 3).0, [0, 1, 3]);
    assert_eq!(first_majority(&cosines, &[2], 1).0, [2]);
}

#[test]
fn sybils_lose_their_weight() {
    let cosines = cosines(&dots(&[&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.1], &[0.0, 1.0, 0.1], &[0.0, -0.2, 1.0]]));
    let weights = foolsgold(&cosines, &[0, 1, 2, 3], 1.0);
    assert_eq!(weights[1..3], [0.0, 0.0]);
    assert!(weights[0] == 1.0 && weights[3] > 0.9, "{weights:?}");
    // All histories parallel: nothing distinguishes the clients.
    let parallel = super::cosines(&dots(&[&[1.0], &[2.0], &[1.0]]));
    assert_eq!(foolsgold(&parallel, &[0, 1, 2], 1.0), [1.0; 3]);
}

#[test]
fn scores_are_squares_along_the_direction_of_most_variance() {
    // Along the first axis: -3, 1, 2 from their mean 0; the second has less variance.
    let vectors: [&[f64]; 3] = [&[-2.0, 5.0], &[2.0, 5.5], &[3.0, 4.5]];
    let (scores, gap) = spread_scores(&dots(&vectors), &[0, 1, 2]);
    let means = [1.0, 5.0];
    let centred: Vec<[f64; 2]> = vectors.iter().map(|v| [v[0] - means[0], v[1] - means[1]]).collect();
    let [xx, xy, yy] = [(0, 0), (0, 1), (1, 1)].map(|(a, b)| centred.iter().map(|v| v[a] * v[b]).sum::<f64>());
    let root = ((xx - yy).powi(2) / 4.0 + xy * xy).sqrt();
    let [first, second] = [(xx + yy) / 2.0 + root, (xx + yy) / 2.0 - root];
    let (dx, dy) = (xy, first - xx);
    let length = (dx * dx + dy * dy).sqrt();
    for (v, score) in centred.iter().zip(&scores) {
        let along = (v[0] * dx + v[1] * dy) / length;
        assert!((along * along - score).abs() < 1e-12, "{along} {score}");
    }
    assert!((gap - (first - second) / first).abs() < 1e-12);
}
