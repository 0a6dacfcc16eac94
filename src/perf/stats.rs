//! Summaries of samples, and comparison of two sets: medians with bootstrap intervals. Everything here is a pure
//! function of the samples.

use serde::{Deserialize, Serialize};

/// Resamples of an interval.
const RESAMPLES: usize = 2000;
/// With fewer samples than this nothing is decided.
pub const FEW: usize = 5;
/// Changes within this share of the old time count as none: medians differ by about as much between processes.
pub const MARGIN: f64 = 0.03;

/// Order statistics of samples, in their unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of samples.
    pub n: usize,
    /// Median.
    pub median: f64,
    /// 20th percentile.
    pub p20: f64,
    /// 80th percentile.
    pub p80: f64,
    /// Smallest.
    pub min: f64,
}

impl Summary {
    /// The summary of `samples`; `None` without samples or if one is not a number.
    pub fn of(samples: &[f64]) -> Option<Summary> {
        if samples.is_empty() || samples.iter().any(|s| s.is_nan()) {
            return None;
        }
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |q| quantile(&sorted, q);
        Some(Summary { n: sorted.len(), median: at(0.5), p20: at(0.2), p80: at(0.8), min: sorted[0] })
    }

    /// (p80 - p20) / median.
    pub fn spread(&self) -> f64 {
        (self.p80 - self.p20) / self.median
    }
}

/// The `q` quantile of sorted, non-empty values, linear between neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// The result of comparing two sets of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SpeedChange {
    /// The medians differ by less than the margin.
    Same,
    /// The new one takes less time, beyond margin and noise.
    Faster,
    /// The new one takes more time, beyond margin and noise.
    Slower,
    /// Too few samples, or too much noise to decide.
    Undecided,
}

impl SpeedChange {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            SpeedChange::Same => "SAME",
            SpeedChange::Faster => "FASTER",
            SpeedChange::Slower => "SLOWER",
            SpeedChange::Undecided => "UNDECIDED",
        }
    }
}

/// New time over old time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Ratio of the medians; above 1 the new one is slower.
    pub ratio: f64,
    /// Lower end of its 95 % bootstrap interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The verdict.
    pub verdict: SpeedChange,
}

/// Compares independent samples, `new` against `old`. For a change the whole interval must be outside [`MARGIN`], and
/// the middle 60 % of both sets must not overlap. `None` if a set is empty or contains anything but positive numbers.
pub fn compare(old: &[f64], new: &[f64]) -> Option<Comparison> {
    let (a, b) = (positive(old)?, positive(new)?);
    let mut random = Random(1);
    let mut draw = || median(&mut random.resample(new)) / median(&mut random.resample(old));
    let (low, high) = interval((0..RESAMPLES).map(|_| draw()).collect());
    let overlap = a.p20 <= b.p80 && b.p20 <= a.p80;
    let few = old.len() < FEW || new.len() < FEW;
    let mut verdict = if few { SpeedChange::Undecided } else { decide(low, high, MARGIN) };
    if overlap && matches!(verdict, SpeedChange::Faster | SpeedChange::Slower) {
        verdict = SpeedChange::Undecided;
    }
    Some(Comparison { ratio: b.median / a.median, low, high, verdict })
}

/// Compares samples taken alternately by the ratio of each pair, so that drift during the run cancels. Changes within
/// `margin` count as none.
pub fn compare_pairs(pairs: &[(f64, f64)], margin: f64) -> Option<Comparison> {
    let ratios: Vec<f64> = pairs.iter().map(|(old, new)| new / old).collect();
    let summary = positive(&ratios)?;
    let mut random = Random(1);
    let (low, high) = interval((0..RESAMPLES).map(|_| median(&mut random.resample(&ratios))).collect());
    let verdict = if ratios.len() < FEW { SpeedChange::Undecided } else { decide(low, high, margin) };
    Some(Comparison { ratio: summary.median, low, high, verdict })
}

fn positive(samples: &[f64]) -> Option<Summary> {
    Summary::of(samples).filter(|s| s.min > 0.0 && samples.iter().all(|v| v.is_finite()))
}

fn decide(low: f64, high: f64, margin: f64) -> SpeedChange {
    match (low, high) {
        _ if low > 1.0 + margin => SpeedChange::Slower,
        _ if high < 1.0 - margin => SpeedChange::Faster,
        _ if low >= 1.0 - margin && high <= 1.0 + margin => SpeedChange::Same,
        _ => SpeedChange::Undecided,
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    quantile(values, 0.5)
}

fn interval(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    (quantile(&values, 0.025), quantile(&values, 0.975))
}

/// splitmix64: the resampling only needs to be repeatable.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn resample(&mut self, values: &[f64]) -> Vec<f64> {
        let n = values.len() as u64;
        values.iter().map(|_| values[(((self.bits() >> 32) * n) >> 32) as usize]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times around `centre` with a relative noise of about `noise`.
    fn times(seed: u64, n: usize, centre: f64, noise: f64) -> Vec<f64> {
        let mut random = Random(seed);
        let mut unit = || (random.bits() >> 11) as f64 / (1u64 << 53) as f64;
        (0..n).map(|_| centre * (1.0 + noise * (unit() + unit() + unit() - 1.5))).collect()
    }

    fn verdict(old: &[f64], new: &[f64]) -> SpeedChange {
        let comparison = compare(old, new).unwrap();
        assert_eq!(comparison, compare(old, new).unwrap(), "the same samples give the same interval");
        assert!(comparison.low <= comparison.ratio && comparison.ratio <= comparison.high, "{comparison:?}");
        comparison.verdict
    }

    #[test]
    fn one_distribution_is_the_same() {
        for seed in 1..20 {
            assert_eq!(verdict(&times(seed, 60, 2e-3, 0.02), &times(seed + 100, 60, 2e-3, 0.02)), SpeedChange::Same);
        }
    }

    #[test]
    fn a_shift_of_ten_per_cent_is_seen_in_its_direction() {
        for seed in 1..20 {
            let (base, slow) = (times(seed, 60, 1.0, 0.02), times(seed + 100, 60, 1.1, 0.02));
            assert_eq!(verdict(&base, &slow), SpeedChange::Slower);
            assert_eq!(verdict(&slow, &base), SpeedChange::Faster);
        }
    }

    #[test]
    fn little_or_noisy_evidence_decides_nothing() {
        let (few, shifted) = (times(1, 4, 1.0, 0.01), times(2, 4, 1.5, 0.01));
        assert_eq!(verdict(&few, &shifted), SpeedChange::Undecided);
        assert_eq!(verdict(&times(3, 8, 1.0, 0.5), &times(4, 8, 1.1, 0.5)), SpeedChange::Undecided);
        // The medians differ, but the sets overlap.
        let (old, new) = (times(5, 400, 1.0, 0.3), times(6, 400, 1.1, 0.3));
        assert!(compare(&old, &new).unwrap().low > 1.0 && verdict(&old, &new) == SpeedChange::Undecided);
    }

    #[test]
    fn pairs_cancel_a_drift_that_hides_the_change() {
        let pairs: Vec<(f64, f64)> = (0..30).map(|i| (1.0 + i as f64 / 10.0, 1.05 * (1.0 + i as f64 / 10.0))).collect();
        let (old, new): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        assert_eq!(verdict(&old, &new), SpeedChange::Undecided);
        let paired = compare_pairs(&pairs, 0.01).unwrap();
        assert!(paired.verdict == SpeedChange::Slower && (paired.ratio - 1.05).abs() < 1e-9, "{paired:?}");
        assert_eq!(compare_pairs(&pairs[..3], 0.01).unwrap().verdict, SpeedChange::Undecided);
    }

    #[test]
    fn summaries_are_order_statistics_and_refuse_nonsense() {
        let s = Summary::of(&[5.0, 1.0, 3.0, 2.0, 4.0, 6.0]).unwrap();
        assert_eq!((s.n, s.median, s.p20, s.p80, s.min), (6, 3.5, 2.0, 5.0, 1.0));
        assert!((s.spread() - 3.0 / 3.5).abs() < 1e-12);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        for bad in [vec![], vec![0.0; 8], vec![f64::INFINITY; 8], vec![-1.0; 8]] {
            assert_eq!(compare(&bad, &[1.0; 8]), None);
            assert_eq!(compare(&[1.0; 8], &bad), None);
        }
    }
}
