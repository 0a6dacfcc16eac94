//! Sliced Wasserstein distance on image patches (after Karras et al., arXiv 1710.10196, section 5): needs no network.
//!
//! Every image contributes the same number of patches. Their positions are drawn from the image's own key ([`Keys`]),
//! so the value depends on the set of images and on the seed, not on the order of files, and an image shared by two
//! sets contributes the same patches to both.
//!
//! [`Keys`]: super::images::Keys

use super::images::{ImageSet, Keys, bytes as quantised};
use crate::kernels::rng::{HostRng, Stream};
use rayon::prelude::*;

const PATCH: usize = 7;
/// Minimum patches per set and level.
const PATCHES: usize = 4096;
const PROJECTIONS: usize = 128;
const SMALLEST: usize = 8;

/// Patches of one image at all levels, `[level][patch][7][7][channels]`, as byte values.
pub(super) type Patches = Vec<Vec<f32>>;

/// A distance with the numbers needed to interpret it.
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

/// Distance between `images` and `references`, both `[n][size][size][channels]` in [-1, 1], rounded to bytes. Levels:
/// full size and successive 2 x 2 means down to 8 pixels. At each level every image of a set contributes the same
/// number of random 7 x 7 patches, at least 4096 in total; channels are normalised by mean and standard deviation of
/// the references' patches; 128 random directions. The order of the images does not matter.
///
/// # Panics
/// If a set is empty or not a whole number of images.
pub fn sliced_wasserstein(
    images: &[f32],
    references: &[f32],
    size: usize,
    channels: usize,
    seed: u64,
) -> SlicedWasserstein {
    let sets = [images, references].map(|pixels| ImageSet::new(pixels.to_vec(), size, channels));
    let [a, b] = sets.each_ref().map(|set| {
        assert!(!set.is_empty(), "images");
        let mut keys = Keys::new(seed);
        let mut all: Vec<(u128, Vec<u8>)> = (0..set.len())
            .map(|i| {
                let image = quantised(set.image(i));
                (keys.next(&image), image)
            })
            .collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.par_iter().map(|(key, image)| patches(image, *key, all.len(), size, channels)).collect::<Vec<Patches>>()
    });
    let value = distance(&a.iter().collect::<Vec<_>>(), &b.iter().collect::<Vec<_>>(), channels, seed);
    SlicedWasserstein { value, images: a.len(), references: b.len() }
}

/// Patches per image and level in a set of `n` images.
pub(super) fn each(n: usize) -> usize {
    PATCHES.div_ceil(n.max(1))
}

fn levels(size: usize) -> usize {
    (1..).take_while(|level| size >> level >= SMALLEST).count() + 1
}

/// Bytes of the patches of `n` images, plus one level of them in f64.
pub(super) fn bytes(n: usize, size: usize, channels: usize) -> u64 {
    (n * each(n) * PATCH * PATCH * channels * (4 * levels(size) + 8)) as u64
}

/// Patches of an image `[size][size][channels]` with this key in a set of `n`.
pub(super) fn patches(image: &[u8], key: u128, n: usize, size: usize, channels: usize) -> Patches {
    let (mut level, mut side) = (image.iter().map(|b| f32::from(*b)).collect::<Vec<f32>>(), size);
    let mut all = Vec::new();
    for at in 0..levels(size) {
        if at > 0 {
            (level, side) = (halve(&level, side, channels), side / 2);
        }
        // The low half of a key is as random as the whole key.
        let mut rng = HostRng::new(key as u64, Stream::EVALUATION, 0, at as u32);
        all.push(cut(&level, side, channels, each(n), &mut rng));
    }
    all
}

/// 2 x 2 means of `[side][side][channels]`; sums of bytes are exact in f32.
fn halve(image: &[f32], side: usize, channels: usize) -> Vec<f32> {
    let (half, row) = (side / 2, side * channels);
    let mut out = Vec::with_capacity(image.len() / 4);
    for y in 0..half {
        for v in 0..half {
            for c in 0..channels {
                let at = 2 * y * row + 2 * v * channels + c;
                out.push((image[at] + image[at + channels] + image[at + row] + image[at + row + channels]) / 4.0);
            }
        }
    }
    out
}

/// Random patches, `[count][7][7][channels]`.
fn cut(image: &[f32], side: usize, channels: usize, count: usize, rng: &mut HostRng) -> Vec<f32> {
    let places = (side - PATCH + 1) as u32;
    let mut out = Vec::with_capacity(count * PATCH * PATCH * channels);
    for _ in 0..count {
        let (top, left) = (rng.below(places) as usize, rng.below(places) as usize);
        for y in 0..PATCH {
            let at = ((top + y) * side + left) * channels;
            out.extend_from_slice(&image[at..at + PATCH * channels]);
        }
    }
    out
}

/// Mean over levels of the distance of two sets' patches.
pub(super) fn distance(a: &[&Patches], b: &[&Patches], channels: usize, seed: u64) -> f64 {
    let levels = b.first().map_or(0, |first| first.len());
    let flat = |set: &[&Patches], at: usize| -> Vec<f64> {
        set.iter().flat_map(|image| &image[at]).map(|v| f64::from(*v)).collect()
    };
    let of = |at: usize| {
        let dim = PATCH * PATCH * channels;
        patch_distance(flat(a, at), flat(b, at), channels, &directions(dim, seed, at as u32))
    };
    (0..levels).map(of).sum::<f64>() / levels as f64
}

/// Random directions of unit length.
fn directions(dim: usize, seed: u64, level: u32) -> Vec<Vec<f64>> {
    let mut rng = HostRng::new(seed, Stream::EVALUATION, 2, level);
    let one = |_| {
        let d: Vec<f64> = (0..dim).map(|_| rng.normal()).collect();
        let norm = d.iter().map(|v| v * v).sum::<f64>().sqrt();
        d.iter().map(|v| v / norm).collect()
    };
    (0..PROJECTIONS).map(one).collect()
}

/// Mean over `directions` of the 1-Wasserstein distance between the projections of two sets of patches,
/// `[n][places][channels]`, after normalising each channel by mean and standard deviation of the second set.
///
/// # Panics
/// If a set is empty or not a whole number of patches.
pub fn patch_distance(mut a: Vec<f64>, mut b: Vec<f64>, channels: usize, directions: &[Vec<f64>]) -> f64 {
    for c in 0..channels {
        let values = || b.iter().skip(c).step_by(channels);
        let n = values().count() as f64;
        let mean = values().sum::<f64>() / n;
        let std = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt().max(1e-4);
        for set in [&mut a, &mut b] {
            set.iter_mut().skip(c).step_by(channels).for_each(|v| *v = (*v - mean) / std);
        }
    }
    let distances: Vec<f64> = directions.par_iter().map(|d| wasserstein(&project(&a, d), &project(&b, d))).collect();
    distances.iter().sum::<f64>() / directions.len() as f64
}

fn project(patches: &[f64], direction: &[f64]) -> Vec<f64> {
    let dot = |p: &[f64]| p.iter().zip(direction).map(|(a, b)| a * b).sum();
    let mut values: Vec<f64> = patches.chunks_exact(direction.len()).map(dot).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Integral of the absolute difference of the quantile functions of two sorted samples of any sizes.
fn wasserstein(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (a.len() as u64, b.len() as u64);
    // In units of 1 / (n m), in which every step of either function ends at an integer.
    let (mut i, mut j, mut at, mut total) = (0, 0, 0, 0.0);
    while i < n && j < m {
        let (end_a, end_b) = ((i + 1) * m, (j + 1) * n);
        let end = end_a.min(end_b);
        total += (end - at) as f64 * (a[i as usize] - b[j as usize]).abs();
        at = end;
        i += u64::from(end == end_a);
        j += u64::from(end == end_b);
    }
    total / (n * m) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, client: u32, shift: f32) -> Vec<f32> {
        let mut rng = HostRng::new(5, Stream::CHECK, client, 0);
        (0..n * 16 * 16).map(|_| 0.2 * rng.normal() as f32 + shift).collect()
    }

    /// `n` images of noise around random levels.
    fn varied(n: usize, client: u32, shift: f32) -> Vec<f32> {
        let mut rng = HostRng::new(6, Stream::CHECK, client, 0);
        (0..n)
            .flat_map(|_| {
                let level = rng.range(-0.3, 0.3) as f32 + shift;
                (0..256).map(|_| level + 0.2 * rng.normal() as f32).collect::<Vec<_>>()
            })
            .collect()
    }

    fn reordered(images: &[f32], order: impl Iterator<Item = usize>) -> Vec<f32> {
        order.flat_map(|i| images[i * 256..(i + 1) * 256].to_vec()).collect()
    }

    #[test]
    fn is_small_for_one_distribution_and_grows_with_the_shift() {
        let real = noise(200, 0, 0.0);
        let d = |shift| sliced_wasserstein(&noise(150, 1, shift), &real, 16, 1, 3).value;
        let (same, near, far) = (d(0.0), d(0.1), d(0.4));
        assert!(same < 0.1, "{same}");
        assert!(same < near && near < far, "{same} {near} {far}");
        let own = sliced_wasserstein(&real, &real, 16, 1, 3);
        assert_eq!((own.references, own.value), (200, 0.0));
    }

    #[test]
    fn no_order_of_the_images_changes_a_bit() {
        // One image, fewer and more images than patches, and many copies of one image among others.
        for (n, m) in [(1, 3), (60, 100), (4100, 300), (5000, 4200)] {
            let (mut images, references) = (varied(n, 0, 0.1), varied(m, 1, 0.0));
            let first = images[..256].to_vec();
            (0..n / 3).for_each(|i| images[i * 256..(i + 1) * 256].copy_from_slice(&first));
            let value = sliced_wasserstein(&images, &references, 16, 1, 3).value;
            let turned = reordered(&images, (0..n).rev());
            let shuffled = reordered(&images, (0..n).map(|i| (i + n / 2) % n));
            let others = reordered(&references, (0..m).rev());
            for order in [&turned, &shuffled] {
                assert_eq!(sliced_wasserstein(order, &others, 16, 1, 3).value, value, "{n} {m}");
            }
            assert!(n == 1 || sliced_wasserstein(&images, &references, 16, 1, 4).value != value, "the seed counts");
        }
    }

    #[test]
    fn every_image_of_a_large_set_counts() {
        // Good images first, as in a sorted set of two classes, then as many wrong ones.
        let references = varied(600, 1, 0.0);
        let value = |good: usize, wrong: usize| {
            let images = [varied(good, 2, 0.0), varied(wrong, 3, 0.8)].concat();
            sliced_wasserstein(&images, &references, 16, 1, 3).value
        };
        let (few, many, clean) = (value(100, 100), value(5000, 5000), value(5000, 0));
        assert!((few / many - 1.0).abs() < 0.1 && many > 5.0 * clean, "{few} {many} {clean}");
    }

    #[test]
    fn samples_of_different_sizes_are_compared_by_their_quantiles() {
        assert_eq!(wasserstein(&[0.0, 1.0], &[0.0, 0.0, 1.0, 1.0]), 0.0);
        assert_eq!(wasserstein(&[0.0], &[1.0, 3.0]), 2.0);
        // |0 - 0| to 1/3, |0 - 1| to 1/2, |2 - 1| to 2/3, |2 - 2| to 1.
        assert!((wasserstein(&[0.0, 2.0], &[0.0, 1.0, 2.0]) - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn levels_go_down_to_eight_pixels() {
        assert_eq!([16, 32, 64, 128, 256].map(levels), [2, 3, 4, 5, 6]);
    }
}
