//! The Frechet distance between two Gaussians fitted to feature sets.

use super::lite0::Features;
use super::product::{Right, product};
use crate::{Error, Result};
use nalgebra::DMatrix;

/// Rows per block of a covariance.
const BLOCK: usize = 2048;

/// A Frechet distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frechet {
    /// |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^1/2.
    pub value: f64,
    /// True if a set has no more rows than columns: its covariance is rank-deficient, the value is too large, and it
    /// can only be compared with values at the same numbers of rows.
    pub biased: bool,
}

/// The Frechet distance of two feature sets, with covariances over n - 1.
///
/// tr (S1 S2)^1/2 is the sum of the square roots of the eigenvalues of A S2 A with A = S1^1/2 (negative ones, due to
/// rounding, count as 0), or, if a covariance is rank-deficient, the nuclear norm of X1c X2c^T / sqrt((n1 - 1)(n2 -
/// 1)).
///
/// # Errors
/// [`Error::Input`] for fewer than 2 rows or non-finite values.
///
/// # Panics
/// If the rows have different lengths.
pub fn frechet(x: &Features, y: &Features) -> Result<Frechet> {
    assert_eq!(x.d, y.d, "features of equal length");
    let ((mean_x, cx), (mean_y, cy)) = (centred(x)?, centred(y)?);
    let biased = x.n().min(y.n()) <= x.d;
    let square = |v: &[f64]| v.iter().map(|a| a * a).sum::<f64>();
    let (fx, fy) = ((x.n() - 1) as f64, (y.n() - 1) as f64);
    let root = if biased { nuclear(&cx, &cy, x.d) / (fx * fy).sqrt() } else { root_trace(&cx, &cy, x.d) };
    let means: f64 = mean_x.iter().zip(&mean_y).map(|(a, b)| (a - b).powi(2)).sum();
    let value = means + square(&cx) / fx + square(&cy) / fy - 2.0 * root;
    // Rounding gives slightly negative values for equal sets. (`f64::max` would turn NaN into 0.)
    Ok(Frechet { value: if value <= 0.0 { 0.0 } else { value }, biased })
}

/// The mean row, and the rows minus their mean.
fn centred(x: &Features) -> Result<(Vec<f64>, Vec<f64>)> {
    if x.n() < 2 {
        return Err(Error::input(format!("a Frechet distance of {} images: at least 2 are required", x.n())));
    }
    if x.values.iter().any(|v| !v.is_finite()) {
        return Err(Error::input("a Frechet distance of non-finite features"));
    }
    let mut mean = vec![0.0; x.d];
    for row in x.values.chunks_exact(x.d) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / x.n() as f64);
    }
    let values = x.values.chunks_exact(x.d).flat_map(|row| row.iter().zip(&mean).map(|(v, m)| v - m)).collect();
    Ok((mean, values))
}

/// The sum of the singular values of X1c X2c^T.
fn nuclear(x: &[f64], y: &[f64], d: usize) -> f64 {
    let (n, m) = (x.len() / d, y.len() / d);
    // A row-major n x m matrix read as column-major m x n: the transpose has the same singular values.
    DMatrix::from_vec(m, n, product([n, m, d], x, y, Right::Transposed)).singular_values().sum()
}

fn root_trace(x: &[f64], y: &[f64], d: usize) -> f64 {
    let eigen = DMatrix::from_vec(d, d, covariance(x, d)).symmetric_eigen();
    let mut scaled = eigen.eigenvectors.clone();
    for (mut column, value) in scaled.column_iter_mut().zip(eigen.eigenvalues.iter()) {
        column *= value.max(0.0).sqrt();
    }
    // A = V L^1/2 V^T is symmetric, so its storage order does not matter; the same holds for the products below.
    let transposed = eigen.eigenvectors.transpose();
    let a = product([d, d, d], transposed.as_slice(), scaled.transpose().as_slice(), Right::Transposed);
    let a_s = product([d, d, d], &a, &covariance(y, d), Right::Plain);
    let inner = DMatrix::from_vec(d, d, product([d, d, d], &a_s, &a, Right::Plain));
    let symmetric = (&inner + inner.transpose()) * 0.5;
    symmetric.symmetric_eigenvalues().iter().map(|v| v.max(0.0).sqrt()).sum()
}

/// Xc^T Xc / (n - 1), `[d][d]`.
fn covariance(centred: &[f64], d: usize) -> Vec<f64> {
    let n = centred.len() / d;
    let mut sums = vec![0.0; d * d];
    // Block by block, to avoid a second copy of all rows.
    for block in centred.chunks(BLOCK * d) {
        let rows = block.len() / d;
        let transposed = DMatrix::from_column_slice(d, rows, block).transpose();
        let part = product([d, d, rows], transposed.as_slice(), transposed.as_slice(), Right::Transposed);
        sums.iter_mut().zip(part).for_each(|(sum, v)| *sum += v);
    }
    sums.iter_mut().for_each(|v| *v /= (n - 1) as f64);
    sums
}
