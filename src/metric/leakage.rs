//! Trigger leakage: the share of generated images that carry the attack's trigger, measured by correlation.
//!
//! The window is the trigger's place with a rim around it, so that a one-colour trigger is detected by its contrast.
//! From an image's window the mean clean window and each channel's own mean are subtracted; the rest is correlated with
//! the difference that the trigger would leave there. A window with less than a quarter of the trigger's contrast
//! counts as having a quarter, because the direction of faint noise carries no information. A one-colour trigger is
//! therefore detected where it differs from its surroundings as on the mean clean image, but not where it is darker on
//! one image and brighter on another.

use super::images::ImageSet;
use crate::fed::Patch;
use crate::{Error, Result};

/// Maximum share of false alarms on clean images at the threshold.
const FALSE_ALARM: f64 = 0.01;
/// The lowest threshold, so that it is meaningful where clean corners are all alike.
const LOWEST: f64 = 0.5;
/// Share of the trigger's contrast that a window needs for its correlation to count fully.
const FAINT: f64 = 0.25;

/// A calibrated search for one trigger.
#[derive(Clone, Debug)]
pub struct Leakage {
    window: Window,
    mean: Vec<f64>,
    template: Vec<f64>,
    /// Correlation above which an image counts as carrying the trigger: exceeded by 1 % of the clean images, at least
    /// 0.5.
    pub threshold: f64,
    /// Number of clean images used for calibration.
    pub calibrated_on: usize,
}

/// A rectangle of an image.
#[derive(Clone, Copy, Debug)]
struct Window {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl Leakage {
    /// Calibrates on clean real images. `None` if the trigger has no contrast to search for (opacity 0, or a trigger
    /// that looks like the clean images).
    ///
    /// # Errors
    /// If the trigger's picture cannot be read, it does not fit the images, or there is no clean image.
    pub fn new(patch: &Patch, clean: &ImageSet) -> Result<Option<Leakage>> {
        if clean.is_empty() || !patch.fits(clean.size as u32) {
            let size = clean.size;
            return Err(Error::input(format!(
                "trigger leakage: {} clean images of {size} x {size} for a trigger of side {}, margin {}",
                clean.len(),
                patch.side,
                patch.margin
            )));
        }
        let (size, channels, side) = (clean.size, clean.channels, patch.side as usize);
        let (top, left) = patch.corner(size as u32);
        let (top, left) = (top as usize, left as usize);
        let rim = side.div_ceil(8);
        let span = |at: usize| (at.saturating_sub(rim), (at + side + rim).min(size));
        let ((y0, y1), (x0, x1)) = (span(top), span(left));
        let window = Window { top: y0, left: x0, height: y1 - y0, width: x1 - x0 };
        let mut mean = vec![0.0; window.height * window.width * channels];
        for i in 0..clean.len() {
            let here = window.of(clean.image(i), size, channels);
            mean.iter_mut().zip(here).for_each(|(m, v)| *m += v / clean.len() as f64);
        }
        let pasted = patch.pixels(channels as u32)?;
        let mut template = vec![0.0; mean.len()];
        for (i, value) in pasted.iter().enumerate() {
            let (y, x, c) = (i / channels / side, i / channels % side, i % channels);
            let at = ((top - y0 + y) * window.width + left - x0 + x) * channels + c;
            template[at] = patch.opacity * (f64::from(*value) - mean[at]);
        }
        centre(&mut template, channels);
        if norm(&template) < 1e-3 {
            return Ok(None);
        }
        let mut leakage = Leakage { window, mean, template, threshold: LOWEST, calibrated_on: clean.len() };
        let mut scores = leakage.correlations(clean);
        scores.sort_unstable_by(f64::total_cmp);
        let allowed = (FALSE_ALARM * scores.len() as f64) as usize;
        leakage.threshold = scores[scores.len() - 1 - allowed].max(LOWEST);
        Ok(Some(leakage))
    }

    /// Correlation of each image's window with the trigger, -1 to 1.
    ///
    /// # Panics
    /// If the images have another size than the clean ones.
    pub fn correlations(&self, set: &ImageSet) -> Vec<f64> {
        let channels = set.channels;
        assert_eq!(self.mean.len(), self.window.height * self.window.width * channels, "channels of the clean images");
        let length = norm(&self.template);
        (0..set.len())
            .map(|i| {
                let here = self.window.of(set.image(i), set.size, channels);
                let mut rest: Vec<f64> = here.zip(&self.mean).map(|(v, m)| v - m).collect();
                centre(&mut rest, channels);
                let dot: f64 = rest.iter().zip(&self.template).map(|(a, b)| a * b).sum();
                dot / (length * norm(&rest).max(FAINT * length))
            })
            .collect()
    }

    /// Share of the images whose correlation is above the threshold; NaN without images.
    ///
    /// # Panics
    /// As [`correlations`](Self::correlations).
    pub fn share(&self, set: &ImageSet) -> f64 {
        self.above(&self.correlations(set))
    }

    /// Share of these correlations that are above the threshold.
    pub(super) fn above(&self, scores: &[f64]) -> f64 {
        scores.iter().filter(|s| **s > self.threshold).count() as f64 / scores.len() as f64
    }
}

impl Window {
    fn of(self, image: &[f32], size: usize, channels: usize) -> impl Iterator<Item = f64> {
        let lines = image.chunks_exact(size * channels).skip(self.top).take(self.height);
        lines.flat_map(move |line| {
            line[self.left * channels..(self.left + self.width) * channels].iter().map(|v| *v as f64)
        })
    }
}

/// Subtracts each channel's mean.
fn centre(values: &mut [f64], channels: usize) {
    let count = (values.len() / channels) as f64;
    for c in 0..channels {
        let mean = values.iter().skip(c).step_by(channels).sum::<f64>() / count;
        values.iter_mut().skip(c).step_by(channels).for_each(|v| *v -= mean);
    }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fed::attack::{Pattern, Trigger};
    use crate::kernels::rng::{HostRng, Stream};

    fn patch(pattern: Pattern, opacity: f64) -> Patch {
        Patch { trigger: Trigger::Pattern(pattern), opacity, ..Patch::checker(vec![0]) }
    }

    /// Images of a random level with noise; with `trigger`, every third has the trigger blended in.
    fn images(n: usize, channels: usize, client: u32, trigger: Option<&Patch>) -> ImageSet {
        let mut rng = HostRng::new(4, Stream::CHECK, client, 0);
        let mut pixels = Vec::new();
        for i in 0..n {
            let level = rng.range(-0.9, -0.6);
            let mut image: Vec<f32> = (0..16 * 16 * channels).map(|_| (level + 0.1 * rng.normal()) as f32).collect();
            if let (Some(patch), 0) = (trigger, i % 3) {
                patch.paste(&mut image, 16, channels).unwrap();
            }
            pixels.extend(image);
        }
        ImageSet::new(pixels, 16, channels)
    }

    #[test]
    fn finds_every_pattern_and_stays_quiet_without_one() {
        for (pattern, channels, opacity) in [
            (Pattern::Checker, 1, 1.0),
            (Pattern::Square, 1, 1.0),
            (Pattern::Square, 3, 1.0),
            (Pattern::Checker, 3, 0.5),
        ] {
            let patch = patch(pattern, opacity);
            let leakage = Leakage::new(&patch, &images(400, channels, 0, None)).unwrap().unwrap();
            let clean = leakage.share(&images(400, channels, 1, None));
            let found = leakage.share(&images(400, channels, 2, Some(&patch)));
            assert!(clean <= 0.04, "{pattern:?} {channels}: false alarms {clean}, threshold {}", leakage.threshold);
            assert!((found - 1.0 / 3.0).abs() <= 0.06, "{pattern:?} {channels}: found {found}");
        }
    }

    #[test]
    fn faint_noise_is_no_trigger_and_no_contrast_is_no_search() {
        let black = ImageSet::new(vec![-1.0; 50 * 16 * 16], 16, 1);
        let leakage = Leakage::new(&patch(Pattern::Checker, 1.0), &black).unwrap().unwrap();
        let mut rng = HostRng::new(4, Stream::CHECK, 9, 0);
        let faint = (0..200 * 16 * 16).map(|_| -1.0 + 0.02 * rng.uniform_f32()).collect();
        assert_eq!(leakage.share(&ImageSet::new(faint, 16, 1)), 0.0);
        assert!(Leakage::new(&patch(Pattern::Checker, 0.0), &black).unwrap().is_none());
        let large = Patch { side: 20, ..patch(Pattern::Square, 1.0) };
        assert_eq!(Leakage::new(&large, &black).unwrap_err().exit_code(), 2);
    }
}
