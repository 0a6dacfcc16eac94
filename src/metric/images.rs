//! Sets of images as input for the metrics.

use crate::kernels::rng::HostRng;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Images of one size, owned, `[n][size][size][channels]` in [-1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSet {
    /// All pixels.
    pub pixels: Vec<f32>,
    /// Height and width.
    pub size: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

impl ImageSet {
    /// A set of whole images.
    ///
    /// # Panics
    /// If `pixels` is not a whole number of images.
    pub fn new(pixels: Vec<f32>, size: usize, channels: usize) -> Self {
        assert!(pixels.len().is_multiple_of(size * size * channels), "whole images");
        ImageSet { pixels, size, channels }
    }

    /// From bytes; 0 to 255 becomes -1 to 1.
    ///
    /// # Panics
    /// If `bytes` is not a whole number of images.
    pub fn from_bytes(bytes: &[u8], size: usize, channels: usize) -> Self {
        ImageSet::new(bytes.iter().map(|b| *b as f32 / 127.5 - 1.0).collect(), size, channels)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / (self.size * self.size * self.channels)
    }

    /// True without images.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// Image `i`, `[size][size][channels]`.
    ///
    /// # Panics
    /// If `i` is not less than [`len`](Self::len).
    pub fn image(&self, i: usize) -> &[f32] {
        let words = self.size * self.size * self.channels;
        &self.pixels[i * words..(i + 1) * words]
    }

    /// The images in batches of at most `size`.
    pub(super) fn batches(&self, size: usize) -> impl Iterator<Item = ImageSet> {
        let words = self.size * self.size * self.channels;
        self.pixels.chunks(size.max(1) * words).map(|part| ImageSet { pixels: part.to_vec(), ..*self })
    }

    /// The set with every non-finite value replaced by 0, and the number of images with such a value.
    pub(super) fn finite(&self) -> (ImageSet, usize) {
        let bad = (0..self.len()).filter(|i| self.image(*i).iter().any(|v| !v.is_finite())).count();
        let pixels = self.pixels.iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
        (ImageSet { pixels, ..*self }, bad)
    }

    /// The images with these indices, in this order.
    ///
    /// # Panics
    /// If an index is not less than [`len`](Self::len).
    pub fn pick(&self, indices: &[usize]) -> ImageSet {
        let pixels = indices.iter().flat_map(|i| self.image(*i)).copied().collect();
        ImageSet { pixels, ..*self }
    }
}

/// An image as bytes, as in a saved picture: values outside [-1, 1] are clamped, NaN becomes 0.
pub(super) fn bytes(image: &[f32]) -> Vec<u8> {
    image.iter().map(|v| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8).collect()
}

/// Random keys of images, from seed and content alone: sorted by key, a set is in a random order that does not depend
/// on the order in which it was read. Copies of an image are counted, so each copy has its own key; which copy gets
/// which key does not matter.
#[derive(Debug)]
pub(super) struct Keys {
    seed: u64,
    seen: HashMap<[u8; 32], u64>,
}

impl Keys {
    pub fn new(seed: u64) -> Keys {
        Keys { seed, seen: HashMap::new() }
    }

    /// The key of the next image.
    pub fn next(&mut self, image: &[u8]) -> u128 {
        let content: [u8; 32] = Sha256::digest(image).into();
        let copies = self.seen.entry(content).or_default();
        let mut digest = Sha256::new();
        digest.update(self.seed.to_le_bytes());
        digest.update(copies.to_le_bytes());
        digest.update(content);
        *copies += 1;
        let key: [u8; 32] = digest.finalize().into();
        key.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte))
    }
}

/// `k` of 0..n without repetition, in random order.
pub(super) fn draw(n: usize, k: usize, rng: &mut HostRng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in 0..k.min(n) {
        order.swap(i, i + rng.below((n - i) as u32) as usize);
    }
    order.truncate(k);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rng::Stream;

    #[test]
    fn keys_follow_content_seed_and_copies_only() {
        let keys = |seed, images: &[[u8; 2]]| {
            let mut keys = Keys::new(seed);
            let mut all: Vec<u128> = images.iter().map(|i| keys.next(i)).collect();
            all.sort_unstable();
            all
        };
        let set = [[1, 2], [3, 4], [1, 2], [5, 6], [1, 2]];
        let mut other = set;
        other.reverse();
        assert_eq!(keys(1, &set), keys(1, &other));
        assert_ne!(keys(1, &set), keys(2, &set));
        let mut once = keys(1, &set);
        once.dedup();
        assert_eq!(once.len(), set.len(), "copies have distinct keys");
    }

    #[test]
    fn draws_do_not_repeat() {
        for n in [2, 7, 40] {
            let mut all = draw(n, n - 1, &mut HostRng::new(3, Stream::CHECK, 0, 0));
            all.sort_unstable();
            all.dedup();
            assert!(all.len() == n - 1 && all.iter().all(|i| *i < n));
        }
    }

    #[test]
    fn bytes_are_those_of_a_picture() {
        assert_eq!(bytes(&[-1.0, 1.0, -0.6, 0.0, 2.0, -9.0]), [0, 255, 51, 128, 255, 0]);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&ImageSet::from_bytes(&all, 16, 1).pixels), all);
    }

    #[test]
    fn images_are_picked_whole() {
        let set = ImageSet::from_bytes(&[0, 255, 51, 51, 0, 0, 0, 255], 2, 1);
        assert_eq!((set.len(), set.image(0)), (2, &[-1.0, 1.0, -0.6, -0.6][..]));
        assert_eq!(set.pick(&[1, 0]).image(0), set.image(1));
    }
}
