//! Sliced Wasserstein distance on image patches (after Karras et al., arXiv 1710.10196, section 5): needs no network.

use crate::kernels::rng::{HostRng, Stream};
use rayon::prelude::*;

const PATCH: usize = 7;
const PATCHES: usize = 4096;
const PROJECTIONS: usize = 128;
const SMALLEST: usize = 8;

/// A distance with the numbers that it must be read with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlicedWasserstein {
    /// Mean over levels and projections of the 1-Wasserstein distance of projected patches, in units of the reference
    /// patches' standard deviation.
    pub value: f64,
    /// Images compared.
    pub images: usize,
    /// Reference images.
    pub references: usize,
}

/// Distance between `images` and `references`, both [n][size][size][channels] in [-1, 1]. Levels: full size and
/// successive 2 x 2 means down to 8 pixels; 4096 random 7 x 7 patches of each set a level, channels normalised by the
/// references' mean and deviation, 128 random directions.
///
/// # Panics
/// If either set is empty or not whole images.
pub fn sliced_wasserstein(
    images: &[f32],
    references: &[f32],
    size: usize,
    channels: usize,
    seed: u64,
) -> SlicedWasserstein {
    let image = size * size * channels;
    assert!(!images.is_empty() && images.len().is_multiple_of(image), "whole images");
    assert!(!references.is_empty() && references.len().is_multiple_of(image), "whole reference images");
    let (mut a, mut b, mut side, mut level) = (to_f64(images), to_f64(references), size, 0);
    let mut distances = Vec::new();
    loop {
        distances.push(level_distance(&a, &b, side, channels, seed, level));
        if side / 2 < SMALLEST {
            break;
        }
        (a, b, side, level) = (halve(&a, side, channels), halve(&b, side, channels), side / 2, level + 1);
    }
    let value = distances.iter().sum::<f64>() / distances.len() as f64;
    SlicedWasserstein { value, images: images.len() / image, references: references.len() / image }
}

fn to_f64(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| *v as f64).collect()
}

/// 2 x 2 means of [n][side][side][channels].
fn halve(x: &[f64], side: usize, channels: usize) -> Vec<f64> {
    let (half, row) = (side / 2, side * channels);
    let mut out = Vec::with_capacity(x.len() / 4);
    for image in x.chunks_exact(side * row) {
        for y in 0..half {
            for v in 0..half {
                for c in 0..channels {
                    let at = 2 * y * row + 2 * v * channels + c;
                    out.push((image[at] + image[at + channels] + image[at + row] + image[at + row + channels]) / 4.0);
                }
            }
        }
    }
    out
}

fn level_distance(a: &[f64], b: &[f64], side: usize, channels: usize, seed: u64, level: u32) -> f64 {
    let mut pa = patches(a, side, channels, &mut HostRng::new(seed, Stream::EVALUATION, 0, level));
    let mut pb = patches(b, side, channels, &mut HostRng::new(seed, Stream::EVALUATION, 1, level));
    for c in 0..channels {
        let values = || pb.iter().skip(c).step_by(channels);
        let n = values().count() as f64;
        let mean = values().sum::<f64>() / n;
        let std = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt().max(1e-6);
        for set in [&mut pa, &mut pb] {
            set.iter_mut().skip(c).step_by(channels).for_each(|v| *v = (*v - mean) / std);
        }
    }
    let dim = PATCH * PATCH * channels;
    let mut rng = HostRng::new(seed, Stream::EVALUATION, 2, level);
    let directions: Vec<Vec<f64>> = (0..PROJECTIONS)
        .map(|_| {
            let d: Vec<f64> = (0..dim).map(|_| rng.normal()).collect();
            let norm = d.iter().map(|v| v * v).sum::<f64>().sqrt();
            d.iter().map(|v| v / norm).collect()
        })
        .collect();
    let distances: Vec<f64> = directions.par_iter().map(|d| wasserstein(project(&pa, d), project(&pb, d))).collect();
    distances.iter().sum::<f64>() / PROJECTIONS as f64
}

/// Random patches, [PATCHES][7][7][channels].
fn patches(x: &[f64], side: usize, channels: usize, rng: &mut HostRng) -> Vec<f64> {
    let image = side * side * channels;
    let n = (x.len() / image) as u32;
    let places = (side - PATCH + 1) as u32;
    let mut out = Vec::with_capacity(PATCHES * PATCH * PATCH * channels);
    for i in 0..PATCHES as u32 {
        // Every image is used equally often.
        let start = (i % n) as usize * image;
        let (top, left) = (rng.below(places) as usize, rng.below(places) as usize);
        for y in 0..PATCH {
            let at = start + ((top + y) * side + left) * channels;
            out.extend_from_slice(&x[at..at + PATCH * channels]);
        }
    }
    out
}

fn project(patches: &[f64], direction: &[f64]) -> Vec<f64> {
    let dot = |p: &[f64]| p.iter().zip(direction).map(|(a, b)| a * b).sum();
    let mut values: Vec<f64> = patches.chunks_exact(direction.len()).map(dot).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn wasserstein(a: Vec<f64>, b: Vec<f64>) -> f64 {
    a.iter().zip(&b).map(|(x, y)| (x - y).abs()).sum::<f64>() / a.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, client: u32, shift: f32) -> Vec<f32> {
        let mut rng = HostRng::new(5, Stream::CHECK, client, 0);
        (0..n * 16 * 16).map(|_| 0.2 * rng.normal() as f32 + shift).collect()
    }

    #[test]
    fn is_small_for_one_distribution_and_grows_with_the_shift() {
        let real = noise(200, 0, 0.0);
        let d = |shift| sliced_wasserstein(&noise(150, 1, shift), &real, 16, 1, 3).value;
        let (same, near, far) = (d(0.0), d(0.1), d(0.4));
        assert!(same < 0.1, "{same}");
        assert!(same < near && near < far, "{same} {near} {far}");
        assert_eq!(sliced_wasserstein(&real, &real, 16, 1, 3).references, 200);
    }
}
