//! The kernel distance (KID): unbiased squared maximum mean discrepancy with the kernel (x . y / d + 1)^3.

use super::images::draw;
use super::lite0::Features;
use super::product::{Right, product};
use crate::kernels::rng::{HostRng, Stream};
use crate::{Error, Result};
use rayon::prelude::*;

/// Number of subsets.
pub const SUBSETS: usize = 100;
/// Rows of the largest subset.
const LARGEST: usize = 1000;

/// A kernel distance over random subsets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kid {
    /// Mean over subsets.
    pub mean: f64,
    /// Standard deviation over subsets (with their number minus 1).
    pub std: f64,
    /// Rows per subset of each set.
    pub subset: usize,
}

/// KID of two feature sets: mean and standard deviation over 100 pairs of subsets, drawn without repetition, with half
/// the smaller set's rows (2 to 1000).
///
/// # Errors
/// [`Error::Input`] for fewer than 2 rows.
///
/// # Panics
/// If the rows have different lengths.
pub fn kid(x: &Features, y: &Features, seed: u64) -> Result<Kid> {
    let smaller = x.n().min(y.n());
    if smaller < 2 {
        return Err(Error::input(format!("a kernel distance of {smaller} images: at least 2 are required")));
    }
    let subset = (smaller / 2).clamp(2, LARGEST);
    let values: Vec<f64> = (0..SUBSETS as u32)
        .into_par_iter()
        .map(|i| {
            let pick = |set: &Features, client| {
                set.pick(&draw(set.n(), subset, &mut HostRng::new(seed, Stream::RESAMPLE, client, i)))
            };
            squared_mmd(&pick(x, 1), &pick(y, 2))
        })
        .collect();
    let mean = values.iter().sum::<f64>() / SUBSETS as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (SUBSETS - 1) as f64;
    Ok(Kid { mean, std: variance.sqrt(), subset })
}

/// The unbiased estimate of the squared maximum mean discrepancy: pairs of a row with itself are excluded.
///
/// # Panics
/// If the rows have different lengths, or a set has fewer than 2.
pub fn squared_mmd(x: &Features, y: &Features) -> f64 {
    assert!(x.d == y.d && x.n() > 1 && y.n() > 1, "two sets of at least 2 rows of one length");
    let kernels = |a: &Features, b: &Features| -> Vec<f64> {
        let dots = product([a.n(), b.n(), a.d], &a.values, &b.values, Right::Transposed);
        dots.into_iter().map(|v| (v / a.d as f64 + 1.0).powi(3)).collect()
    };
    let within = |a: &Features| {
        let (n, k) = (a.n(), kernels(a, a));
        let diagonal: f64 = k.iter().step_by(n + 1).sum();
        (k.iter().sum::<f64>() - diagonal) / (n * (n - 1)) as f64
    };
    let across = kernels(x, y).iter().sum::<f64>() / (x.n() * y.n()) as f64;
    within(x) + within(y) - 2.0 * across
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KID's subsets and MS-SSIM's pairs use one stream with different client numbers.
    #[test]
    fn metrics_share_no_random_block() {
        use crate::kernels::rng::witness::watch;
        use std::collections::BTreeSet;
        let seed = 0x0051_7ea7_5eed_0100;
        let (x, y) = (normal(6, 0, 0.0), normal(9, 1, 0.0));
        let image = [7u8; 121];
        let uses = [
            watch(seed, || kid(&x, &y, seed).unwrap()).1,
            watch(seed, || crate::metric::diversity(&[&image[..]; 3], 11, 1, seed)).1,
        ];
        let all: Vec<_> = uses.concat();
        assert!(uses.iter().all(|u| u.len() >= 10), "{:?}", uses.map(|u| u.len()));
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    fn normal(n: usize, client: u32, shift: f64) -> Features {
        let mut rng = HostRng::new(2, Stream::CHECK, client, 0);
        Features::new((0..n * 6).map(|_| rng.normal() + shift).collect(), 6)
    }

    #[test]
    fn is_around_zero_for_one_distribution_and_repeats() {
        let (x, y) = (normal(200, 0, 0.0), normal(150, 1, 0.0));
        let same = kid(&x, &y, 1).unwrap();
        assert!(same.mean.abs() < 3.0 * same.std && same.std > 0.0 && same.subset == 75, "{same:?}");
        assert_eq!(same, kid(&x, &y, 1).unwrap());
        let far = kid(&x, &normal(150, 1, 1.0), 1).unwrap();
        assert!(far.mean > 3.0 * far.std, "{far:?}");
        assert_eq!(kid(&x, &normal(1, 1, 0.0), 1).unwrap_err().exit_code(), 2);
    }
}
