//! The published rule: an isolation forest on the last batch's generator losses; weights only ever fall.

use super::{Detected, Observation, exact, forest, normalised};
use crate::kernels::rng::HostRng;
use serde::{Deserialize, Serialize};

/// `isolation-forest-published`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Published {
    /// The last round without verdicts, counted from 0.
    pub warmup: u32,
    /// A client's weight is reduced by this factor to the power of its flags so far.
    pub decay: f64,
}

impl Default for Published {
    fn default() -> Self {
        Published { warmup: 10, decay: 0.9 }
    }
}

/// Flags so far and the resulting weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishedState {
    #[serde(skip)]
    rule: Published,
    flags: Vec<u32>,
    #[serde(with = "exact")]
    weights: Vec<f64>,
}

impl PublishedState {
    pub fn new(rule: Published, base: Vec<f64>) -> Self {
        PublishedState { rule, flags: vec![0; base.len()], weights: base }
    }

    /// Restores the memory `kept`; returns its number of clients, if consistent.
    pub fn recall(&mut self, kept: PublishedState) -> Option<usize> {
        let clients = kept.flags.len();
        *self = PublishedState { rule: self.rule.clone(), ..kept };
        (self.weights.len() == clients).then_some(clients)
    }

    /// Flags every client whose score is below -0.5; acts when fewer than floor(n / 2) are flagged. Only `present` clients count
    /// towards n; the others have no score and no flag.
    pub fn detect(&mut self, round: u32, observed: &[Observation], present: &[usize], rng: &mut HostRng) -> Detected {
        let n = observed.len();
        let mut scores = vec![f64::NAN; n];
        let mut flagged = vec![false; n];
        if round > self.rule.warmup {
            // The published code would stop at a non-finite loss; here its client counts as maximally isolated.
            let finite: Vec<usize> = present.iter().copied().filter(|i| observed[*i].last_loss_g.is_finite()).collect();
            let points: Vec<Vec<f32>> =
                finite.iter().map(|i| vec![0.0, observed[*i].last_loss_g.abs() as f32]).collect();
            present.iter().for_each(|i| scores[*i] = -1.0);
            for (i, score) in finite.iter().zip(forest::scores(&points, rng)) {
                scores[*i] = score;
            }
            flagged = scores.iter().map(|s| *s < forest::THRESHOLD).collect();
            self.act(&flagged, present.len());
        }
        Detected { flagged, scores, weights: self.weights.clone() }
    }

    fn act(&mut self, flagged: &[bool], present: usize) {
        let count = flagged.iter().filter(|f| **f).count();
        if count >= present / 2 {
            return;
        }
        for (i, _) in flagged.iter().enumerate().filter(|(_, f)| **f) {
            self.flags[i] += 1;
            self.weights[i] *= self.rule.decay.powf(f64::from(self.flags[i]));
        }
        self.weights = normalised(&self.weights, &self.weights);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rng::Stream;

    #[test]
    fn weights_follow_the_published_sequence() {
        let mut state = PublishedState::new(Published::default(), vec![0.25; 4]);
        let mut after = vec![state.weights[0]];
        for _ in 0..10 {
            state.act(&[true, false, false, false], 4);
            after.push(state.weights[0]);
            assert!((state.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        for (flags, weight, digit) in
            [(1, 0.231, 5e-4), (2, 0.195, 5e-4), (3, 0.150, 5e-4), (5, 0.064, 5e-4), (10, 0.0010, 5e-5)]
        {
            assert!((after[flags] - weight).abs() <= digit, "{flags} flags: {}", after[flags]);
        }
    }

    #[test]
    fn half_of_the_clients_flagged_is_no_verdict() {
        let mut state = PublishedState::new(Published::default(), vec![0.25; 4]);
        state.act(&[true, true, false, false], 4);
        assert_eq!((state.weights.as_slice(), state.flags.as_slice()), ([0.25; 4].as_slice(), [0; 4].as_slice()));
    }

    fn losses(values: [f64; 4]) -> Vec<Observation> {
        let one = |v| Observation {
            loss_g: 1.0,
            last_loss_g: v,
            update_norm: 1.0,
            update_cosine: 0.5,
            probe_deviation: f64::NAN,
        };
        values.map(one).to_vec()
    }

    #[test]
    fn an_outlier_is_flagged_after_the_warm_up() {
        let mut state = PublishedState::new(Published::default(), vec![0.25; 4]);
        for round in 0..13 {
            let mut rng = HostRng::new(1, Stream::DETECTOR, 0, round);
            let verdict = state.detect(round, &losses([2.0, 2.1, 9.0, 2.05]), &[0, 1, 2, 3], &mut rng);
            assert_eq!(verdict.flagged[2], round > 10, "round {round}: {verdict:?}");
            assert_eq!(verdict.scores[2].is_nan(), round <= 10);
        }
        let mut rng = HostRng::new(1, Stream::DETECTOR, 0, 13);
        let verdict = state.detect(13, &losses([2.0, f64::NAN, 2.0, 2.0]), &[0, 1, 2, 3], &mut rng);
        assert_eq!(verdict.flagged, [false, true, false, false], "a diverged client");
    }

    #[test]
    fn a_client_that_is_not_present_has_no_part_in_the_forest() {
        let all = losses([2.0, 2.1, 9.0, 2.05]);
        let rng = || HostRng::new(1, Stream::DETECTOR, 0, 11);
        let detect = |observed: &[Observation], present: &[usize]| {
            PublishedState::new(Published::default(), vec![0.25; 4]).detect(11, observed, present, &mut rng())
        };
        let without = detect(&all, &[0, 1, 3]);
        assert!(without.scores[2].is_nan() && !without.flagged[2]);
        assert_eq!(without.weights, [0.25; 4], "three are too few to act");
        // The observations of the dropped client do not affect the others' scores.
        for loss in [2.0, 1e30, f64::NAN, f64::INFINITY] {
            let other = detect(&losses([2.0, 2.1, loss, 2.05]), &[0, 1, 3]);
            assert_eq!([0, 1, 3].map(|i| other.scores[i]), [0, 1, 3].map(|i| without.scores[i]));
        }
    }
}
