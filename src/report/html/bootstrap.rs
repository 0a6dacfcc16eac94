//! Means over seeds with percentile bootstrap intervals.

use crate::kernels::rng::{HostRng, Stream};

/// Resamples of an interval.
pub const RESAMPLES: usize = 10_000;
/// Seeds the resampling, so that reports of the same runs have the same bytes.
const SEED: u64 = 1;
/// With fewer seeds than this an interval over seeds is marked and shades nothing, because it is too narrow. A resample
/// has (n - 1) / n of the variance of the data and no heavier tail than the normal distribution. For normal data the
/// interval of n seeds therefore contains the true mean about as often as Student's t of n - 1 degrees is within 1.96
/// sqrt((n - 1) / n): 84 % at 5, 90 % at 10.
pub const FEW: usize = 10;

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean of the finite values.
    pub mean: f64,
    /// Percentile bootstrap interval of the mean, 95 %; `None` below two values.
    pub interval: Option<(f64, f64)>,
    /// Number of finite values.
    pub n: usize,
}

impl Estimate {
    /// Of the finite ones among `values`; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let n = finite.len();
        (n > 0).then(|| Estimate { mean: mean(&finite), interval: interval(&finite), n })
    }

    /// Whether there is an interval, but over few seeds.
    pub fn is_few(&self) -> bool {
        (2..FEW).contains(&self.n)
    }

    /// Whether both have an interval over enough seeds and the intervals do not overlap.
    pub fn is_apart(&self, other: &Estimate) -> bool {
        let enough = self.n >= FEW && other.n >= FEW;
        let apart = |a: (f64, f64), b: (f64, f64)| a.1 < b.0 || b.1 < a.0;
        enough && self.interval.zip(other.interval).is_some_and(|(a, b)| apart(a, b))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The 2.5 and 97.5 percentiles of the means of [`RESAMPLES`] resamples; `None` below two values.
fn interval(values: &[f64]) -> Option<(f64, f64)> {
    let n = u32::try_from(values.len()).ok().filter(|n| *n >= 2)?;
    if values.iter().all(|v| *v == values[0]) {
        // Sums of equal numbers are rounded, so a zero-width interval could appear to have a width.
        return Some((values[0], values[0]));
    }
    let mut rng = HostRng::new(SEED, Stream::RESAMPLE, 0, 0);
    let mut draw = || (0..n).map(|_| values[rng.below(n) as usize]).sum::<f64>() / f64::from(n);
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| draw()).collect();
    means.sort_unstable_by(f64::total_cmp);
    Some((quantile(&means, 0.025), quantile(&means, 0.975)))
}

/// Quantile of sorted values, linear between neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_the_normal_distribution() {
        // The mean of 400 uniform numbers is nearly normal: half the width is 1.96 standard errors.
        let mut rng = HostRng::new(3, Stream::CHECK, 0, 0);
        let values: Vec<f64> = (0..400).map(|_| rng.uniform()).collect();
        let estimate = Estimate::of(&values).unwrap();
        let variance = values.iter().map(|v| (v - estimate.mean).powi(2)).sum::<f64>() / 400.0;
        let half = 1.96 * (variance / 400.0).sqrt();
        let (low, high) = estimate.interval.unwrap();
        assert!(((high - low) / 2.0 - half).abs() < 0.05 * half, "{low} {high}, expected half width {half}");
        assert!(((low + high) / 2.0 - estimate.mean).abs() < 0.05 * half);
    }

    #[test]
    fn two_values_give_the_tabulated_quantiles() {
        // Means of resamples are 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4: the outer ones contain both percentiles.
        assert_eq!(interval(&[0.0, 1.0]), Some((0.0, 1.0)));
        // Ten values, nine 0: a mean is k/10, k binomial(10, 0.1): P(0) = 0.35, P(<= 2) = 0.930, P(<= 3) = 0.987.
        let mut values = [0.0; 10];
        values[4] = 1.0;
        let (low, high) = interval(&values).unwrap();
        assert!(low == 0.0 && (high - 0.3).abs() < 1e-12, "{low} {high}");
    }

    #[test]
    fn degenerate_inputs() {
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(Estimate::of(&[0.1]), Some(Estimate { mean: 0.1, interval: None, n: 1 }));
        let equal = Estimate::of(&[0.1; 7]).unwrap();
        assert_eq!((equal.interval, equal.n), (Some((0.1, 0.1)), 7));
        let some = Estimate::of(&[f64::NAN, 1.0, 3.0]).unwrap();
        assert_eq!((some.mean, some.n, some.is_few()), (2.0, 2, true));
    }

    #[test]
    fn repeats_and_separates() {
        let a: Vec<f64> = (0..FEW).map(|i| 1.0 + 0.02 * i as f64).collect();
        let b: Vec<f64> = a.iter().map(|v| v + 1.0).collect();
        assert_eq!(interval(&a), interval(&a));
        let (all_a, all_b) = (Estimate::of(&a).unwrap(), Estimate::of(&b).unwrap());
        assert!(all_a.is_apart(&all_b) && all_b.is_apart(&all_a) && !all_a.is_apart(&all_a) && !all_a.is_few());
        let few = Estimate::of(&b[1..]).unwrap();
        assert!(few.is_few() && !all_a.is_apart(&few), "few seeds separate nothing");
    }
}
