//! Trigger leakage: the share of generated images that carry the attack's trigger, found by a search that is calibrated on clean real
//! images.
//!
//! A trigger that changes each pixel by an amount of its own is found by its pattern (`pattern.rs`), any other by numbers of the
//! image that the attack moves (`paired.rs`). A generator without a trigger also draws images that differ from real ones: values are
//! to be compared with those of an honest run.

mod paired;
mod pattern;
#[cfg(test)]
mod tests;

use super::images::ImageSet;
use crate::fed::Attack;
use crate::fed::attack::image::{Refusal, Search, Trigger};
use crate::{Error, Result};
use paired::Paired;
use pattern::Pattern;
use rayon::prelude::*;

/// Maximum share of false alarms on clean images at the threshold.
const FALSE_ALARM: f64 = 0.01;
/// The lowest threshold, so that it is meaningful where clean corners are all alike.
const LOWEST: f64 = 0.5;
/// The same for the correlation with a faint trigger on the whole image, of which the image is the larger part.
const LOWEST_WHOLE: f64 = 0.1;

/// Name of an attack in names of metrics: empty for the patch, which had none before there were others.
pub(super) fn tag(kind: &str) -> String {
    if kind == "patch" { String::new() } else { format!("_{kind}") }
}

/// Upper bound of the host bytes for calibrating the search on `clean` images of `words` values, and for counting what it finds in
/// `references` images: copies of one part of the clean images, and of the references.
pub(super) fn host_bytes(clean: usize, references: usize, words: usize) -> u64 {
    4 * (clean.max(references) * words) as u64
}

/// A calibrated search for one trigger.
#[derive(Debug)]
pub struct Leakage {
    /// The attack's name.
    kind: &'static str,
    trigger: Box<dyn Trigger>,
    method: Method,
    /// Score above which an image counts as carrying the trigger: exceeded by 1 % of the clean images, at least 0.5, or 0.1
    /// for a trigger on the whole image.
    pub threshold: f64,
    /// Number of clean images that set the threshold: all, or half of them where the other half determines the direction.
    pub calibrated_on: usize,
}

#[derive(Debug)]
enum Method {
    Pattern(Pattern),
    Paired(Paired),
}

/// Blocks into which the clean images are divided.
const BLOCKS: usize = 16;

/// Every second block of `n` images, from the first (0) or the second (1) on: one part determines the direction, the other one the
/// threshold. Images stand in the order of their source, so that a block has images of few patients; all of a small set.
fn part(n: usize, which: usize) -> Vec<usize> {
    (0..n).filter(|i| n < 2 * BLOCKS || i * BLOCKS / n % 2 == which).collect()
}

impl Leakage {
    /// Calibrates on clean real images. `None` if the trigger has no contrast to search for (opacity 0, or a trigger
    /// that looks like the clean images).
    ///
    /// # Errors
    /// If the trigger's picture cannot be read, it does not fit the images, or there is no clean image.
    pub fn new(attack: &Attack, clean: &ImageSet) -> Result<Option<Leakage>> {
        let (size, channels) = (clean.size as u32, clean.channels as u32);
        let (kind, n) = (attack.image.name(), clean.len());
        if n == 0 {
            return Err(Error::input(format!(
                "trigger leakage: no clean image of {size} x {size} to search {kind:?} with"
            )));
        }
        if let Err(Refusal { key, found, allowed, .. }) = attack.image.check(size) {
            return Err(Error::input(format!("trigger leakage: {key} = {found}: must be {allowed}")));
        }
        let trigger = attack.trigger(size, channels)?;
        let method = match trigger.search() {
            Search::Pattern(window, change) => Pattern::new(window, change, clean).map(Method::Pattern),
            Search::Paired(describe) => {
                Paired::new(describe, trigger.as_ref(), &clean.pick(&part(n, 0))).map(Method::Paired)
            }
        };
        let Some(method) = method else { return Ok(None) };
        let mut leakage = Leakage { kind, trigger, method, threshold: LOWEST, calibrated_on: n };
        let mut scores = match &leakage.method {
            Method::Pattern(_) => leakage.scores(clean),
            Method::Paired(_) => leakage.scores(&clean.pick(&part(n, 1))),
        };
        scores.sort_unstable_by(f64::total_cmp);
        leakage.calibrated_on = scores.len();
        let allowed = (FALSE_ALARM * scores.len() as f64) as usize;
        leakage.threshold = scores[scores.len() - 1 - allowed].max(leakage.lowest());
        Ok(Some(leakage))
    }

    /// The least threshold.
    pub(super) fn lowest(&self) -> f64 {
        match &self.method {
            Method::Pattern(pattern) if pattern.whole => LOWEST_WHOLE,
            _ => LOWEST,
        }
    }

    /// [`tag`] of its attack.
    pub(super) fn tag(&self) -> String {
        tag(self.kind)
    }

    /// The score's name: `correlation` with the pattern, -1 to 1, or `score`, 0 for clean and 1 for attacked real images in the
    /// mean.
    pub(super) fn score_name(&self) -> &'static str {
        match self.method {
            Method::Pattern(_) => "correlation",
            Method::Paired(_) => "score",
        }
    }

    /// Each image's score.
    ///
    /// # Panics
    /// If the images have another size than the clean ones.
    pub fn scores(&self, set: &ImageSet) -> Vec<f64> {
        match (&self.method, self.trigger.search()) {
            (Method::Pattern(pattern), _) => (0..set.len()).map(|i| pattern.score(set.image(i), set)).collect(),
            (Method::Paired(paired), Search::Paired(describe)) => {
                (0..set.len()).into_par_iter().map(|i| paired.score(&describe(set.image(i)))).collect()
            }
            (Method::Paired(_), Search::Pattern(..)) => Vec::new(),
        }
    }

    /// Share of the images whose score is above the threshold; NaN without images.
    ///
    /// # Panics
    /// As [`scores`](Self::scores).
    pub fn share(&self, set: &ImageSet) -> f64 {
        self.above(&self.scores(set))
    }

    /// Share of the images in which the trigger is found after the attack on each of them.
    ///
    /// # Panics
    /// As [`scores`](Self::scores).
    pub fn detected(&self, set: &ImageSet) -> f64 {
        let mut attacked = set.clone();
        let words = set.size * set.size * set.channels;
        attacked.pixels.par_chunks_exact_mut(words).for_each(|image| self.trigger.paste(image));
        self.share(&attacked)
    }

    /// Share of these scores that are above the threshold.
    pub(super) fn above(&self, scores: &[f64]) -> f64 {
        scores.iter().filter(|s| **s > self.threshold).count() as f64 / scores.len() as f64
    }
}
