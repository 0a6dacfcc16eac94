//! The search for a pattern by correlation.
//!
//! The window is the trigger's place with a rim around it, so that a one-colour trigger is detected by its contrast.
//! From an image's window the mean clean window and each channel's own mean are subtracted; the rest is correlated with
//! the difference that the trigger would leave there. A window with less than a quarter of the trigger's contrast
//! counts as having a quarter, because the direction of faint noise carries no information. A one-colour trigger is
//! therefore detected where it differs from its surroundings as on the mean clean image, but not where it is darker on
//! one image and brighter on another.

use crate::fed::attack::image::{Change, Window};
use crate::metric::images::ImageSet;

/// Share of the trigger's contrast that a window needs for its correlation to count fully.
const FAINT: f64 = 0.25;

/// A trigger's pattern on the mean clean image.
#[derive(Debug)]
pub(super) struct Pattern {
    view: View,
    mean: Vec<f64>,
    template: Vec<f64>,
    /// Whether differences of neighbouring pixels are compared.
    pub whole: bool,
}

/// The part of an image that is compared.
#[derive(Clone, Copy, Debug)]
struct View {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl Pattern {
    /// The pattern of a trigger in `window`; `None` without contrast.
    pub fn new(window: Window, change: Change, clean: &ImageSet) -> Option<Pattern> {
        let (size, channels) = (clean.size, clean.channels);
        let rim = window.height.max(window.width).div_ceil(8) as usize;
        let span = |at: u32, side: u32| {
            let (first, end) = ((at as usize).saturating_sub(rim), (at + side) as usize + rim);
            (first, end.min(size) - first)
        };
        let ((top, height), (left, width)) = (span(window.top, window.height), span(window.left, window.width));
        let view = View { top, left, height, width };
        let mut mean = vec![0.0; height * width * channels];
        for i in 0..clean.len() {
            let here = view.of(clean.image(i), size, channels);
            mean.iter_mut().zip(here).for_each(|(m, v)| *m += v / clean.len() as f64);
        }
        let place = |i: usize| {
            let (row, column) = (i / channels / width + top, i / channels % width + left);
            (row * size + column) * channels + i % channels
        };
        let mut template: Vec<f64> = mean.iter().enumerate().map(|(i, mean)| change(place(i), *mean)).collect();
        let whole = (window.height as usize, window.width as usize) == (size, size);
        if whole {
            template = differences(&template, width, channels);
        } else {
            centre(&mut template, channels);
        }
        (norm(&template) >= 1e-3).then_some(Pattern { view, mean, template, whole })
    }

    /// Correlation of an image's window with the trigger, -1 to 1.
    pub fn score(&self, image: &[f32], set: &ImageSet) -> f64 {
        let channels = set.channels;
        assert_eq!(self.mean.len(), self.view.height * self.view.width * channels, "channels of the clean images");
        let length = norm(&self.template);
        let here = self.view.of(image, set.size, channels);
        let mut rest: Vec<f64> = here.zip(&self.mean).map(|(v, m)| v - m).collect();
        if self.whole {
            rest = differences(&rest, self.view.width, channels);
        } else {
            centre(&mut rest, channels);
        }
        let dot: f64 = rest.iter().zip(&self.template).map(|(a, b)| a * b).sum();
        dot / (length * norm(&rest).max(FAINT * length))
    }
}

impl View {
    fn of(self, image: &[f32], size: usize, channels: usize) -> impl Iterator<Item = f64> {
        let lines = image.chunks_exact(size * channels).skip(self.top).take(self.height);
        lines.flat_map(move |line| {
            line[self.left * channels..(self.left + self.width) * channels].iter().map(|v| *v as f64)
        })
    }
}

/// Differences of each pixel and its right, then its lower neighbour; 0 at the edges.
fn differences(values: &[f64], width: usize, channels: usize) -> Vec<f64> {
    let line = width * channels;
    let right = |at: usize| if at % line + channels < line { values[at + channels] - values[at] } else { 0.0 };
    let lower = |at: usize| values.get(at + line).map_or(0.0, |v| v - values[at]);
    (0..values.len()).map(right).chain((0..values.len()).map(lower)).collect()
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
