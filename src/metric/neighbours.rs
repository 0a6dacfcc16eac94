//! Precision, recall (Kynkaanniemi et al., arXiv 1904.06991), density and coverage (Naeem et al., arXiv 2002.09797):
//! which generated images are among the real ones in feature space, and which real ones are covered.

use super::lite0::Features;
use super::product::{Right, product};
use crate::{Error, Result};
use rayon::prelude::*;

/// The k of the k-th nearest neighbour that sets a ball's radius.
pub const NEIGHBOURS: usize = 5;
/// Rows per block of distances.
const BLOCK: usize = 256;

/// Shares of images in the balls around the other set's images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prdc {
    /// Share of generated images inside the ball of a real one.
    pub precision: f64,
    /// Share of real images inside the ball of a generated one.
    pub recall: f64,
    /// Mean number of real balls around a generated image, divided by k.
    pub density: f64,
    /// Share of real images whose ball contains a generated one.
    pub coverage: f64,
}

/// The four values; the radius of a ball is the distance to the `k`-th nearest neighbour in its own set.
///
/// # Errors
/// [`Error::Input`] when a set has no more than `k` rows.
///
/// # Panics
/// If the rows have different lengths.
pub fn prdc(real: &Features, fake: &Features, k: usize) -> Result<Prdc> {
    assert_eq!(real.d, fake.d, "features of equal length");
    let smaller = real.n().min(fake.n());
    if smaller <= k {
        let what = format!("precision and recall with {k} neighbours of {smaller} images: more than {k} are required");
        return Err(Error::input(what));
    }
    let (real_radius, fake_radius) = (radii(real, k), radii(fake, k));
    // Per generated image: the number of real balls that contain it.
    let around: Vec<usize> = by_row(fake, real, |_, d| d.iter().zip(&real_radius).filter(|(d, r)| d < r).count());
    // Per real image: whether a generated ball contains it, and whether its own ball contains a generated image.
    let reached: Vec<(bool, bool)> = by_row(real, fake, |i, d| {
        let nearest = d.iter().copied().fold(f64::INFINITY, f64::min);
        (d.iter().zip(&fake_radius).any(|(d, r)| d < r), nearest < real_radius[i])
    });
    let share = |count: usize, n: usize| count as f64 / n as f64;
    Ok(Prdc {
        precision: share(around.iter().filter(|c| **c > 0).count(), fake.n()),
        recall: share(reached.iter().filter(|r| r.0).count(), real.n()),
        density: share(around.iter().sum(), k * fake.n()),
        coverage: share(reached.iter().filter(|r| r.1).count(), real.n()),
    })
}

/// Squared distance of each row to its `k`-th nearest other row.
fn radii(x: &Features, k: usize) -> Vec<f64> {
    by_row(x, x, |i, distances| {
        let mut others: Vec<f64> = distances.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, d)| *d).collect();
        *others.select_nth_unstable_by(k - 1, f64::total_cmp).1
    })
}

/// `f` of each row of `a` and its squared distances to all rows of `b`.
fn by_row<T: Send>(a: &Features, b: &Features, f: impl Fn(usize, &[f64]) -> T + Sync) -> Vec<T> {
    let square = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>();
    let b_squares: Vec<f64> = b.values.chunks_exact(b.d).map(square).collect();
    let starts: Vec<usize> = (0..a.n()).step_by(BLOCK).collect();
    let blocks: Vec<Vec<T>> = starts
        .par_iter()
        .map(|&start| {
            let rows = BLOCK.min(a.n() - start);
            let block = &a.values[start * a.d..(start + rows) * a.d];
            let mut dots = product([rows, b.n(), a.d], block, &b.values, Right::Transposed);
            let rows = dots.chunks_exact_mut(b.n()).zip(block.chunks_exact(a.d)).enumerate();
            rows.map(|(i, (dots, row))| {
                let own = square(row);
                dots.iter_mut().zip(&b_squares).for_each(|(v, other)| *v = (own + other - 2.0 * *v).max(0.0));
                f(start + i, dots)
            })
            .collect()
        })
        .collect();
    blocks.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_line_by_hand() {
        // Real at 0, 1, 2, 10; generated at 0.5, 1.5, 50, 51; k = 1: real radii 1, 1, 1, 8, generated 1, 1, 1, 1.
        let real = Features::new(vec![0.0, 1.0, 2.0, 10.0], 1);
        let fake = Features::new(vec![0.5, 1.5, 50.0, 51.0], 1);
        let got = prdc(&real, &fake, 1).unwrap();
        // 0.5 is in the balls of 0 and 1; 1.5 in those of 1 and 2 (10's ends at 2): density (2 + 2) / (1 x 4).
        assert_eq!(got, Prdc { precision: 0.5, recall: 0.75, density: 1.0, coverage: 0.75 });
        assert_eq!(prdc(&real, &fake, 4).unwrap_err().exit_code(), 2);
    }
}
