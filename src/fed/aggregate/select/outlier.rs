//! Outliers along the direction of most variance (divide and conquer, Shejwalkar and Houmansadr 2021).

use super::super::device::Square;

/// Sweeps of Jacobi's method; ten suffice for matrices of some hundred rows.
const SWEEPS: usize = 60;

/// For each client of `present` the squared length of its centred update along the direction of most variance, and the relative gap
/// between the two largest variances. With the centred Gram matrix K = U L U', that is `l_1 u_i1^2`: the direction itself, a vector
/// of all coordinates, is not needed.
pub(in crate::fed) fn spread_scores(dots: &Square, present: &[usize]) -> (Vec<f64>, f64) {
    let n = present.len();
    let gram = |i: usize, j: usize| dots.at(present[i], present[j]);
    let means: Vec<f64> = (0..n).map(|i| (0..n).map(|j| gram(i, j)).sum::<f64>() / n as f64).collect();
    let mean = means.iter().sum::<f64>() / n as f64;
    let mut centred: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| gram(i, j) - means[i] - means[j] + mean).collect()).collect();
    let vectors = eigenvectors(&mut centred);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| centred[*b][*b].total_cmp(&centred[*a][*a]));
    let top = order[0];
    let gap = match order.get(1) {
        Some(second) => (centred[top][top] - centred[*second][*second]) / centred[top][top].max(1e-300),
        None => 1.0,
    };
    ((0..n).map(|i| centred[top][top].max(0.0) * vectors[i][top] * vectors[i][top]).collect(), gap)
}

/// The eigenvectors of a symmetric matrix, as columns; its diagonal becomes the eigenvalues (Jacobi's method).
fn eigenvectors(a: &mut [Vec<f64>]) -> Vec<Vec<f64>> {
    let n = a.len();
    let mut v: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let size: f64 = a.iter().flatten().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        if off <= 1e-30 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(a, &mut v, p, q);
            }
        }
    }
    v
}

/// Turns the plane of axes p and q so that element (p, q) becomes 0.
fn rotate(a: &mut [Vec<f64>], v: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for row in a.iter_mut().chain(v.iter_mut()) {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    for k in 0..a.len() {
        (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]);
    }
}
