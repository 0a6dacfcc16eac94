//! Sets of images as the metrics take them.

use crate::kernels::rng::{HostRng, Stream};

/// Images of one size, owned, [n][size][size][channels] in [-1, 1].
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
    /// If `pixels` is not whole images.
    pub fn new(pixels: Vec<f32>, size: usize, channels: usize) -> Self {
        assert!(pixels.len().is_multiple_of(size * size * channels), "whole images");
        ImageSet { pixels, size, channels }
    }

    /// From bytes, 0 to 255 becoming -1 to 1.
    ///
    /// # Panics
    /// If `bytes` is not whole images.
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

    /// Image `i`, [size][size][channels].
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    pub fn image(&self, i: usize) -> &[f32] {
        let words = self.size * self.size * self.channels;
        &self.pixels[i * words..(i + 1) * words]
    }

    /// The images with these indices, in this order.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    pub fn pick(&self, indices: &[usize]) -> ImageSet {
        let pixels = indices.iter().flat_map(|i| self.image(*i)).copied().collect();
        ImageSet { pixels, ..*self }
    }
}

/// Indices 0..n in a random order, cut into two halves of n / 2; the odd one is left out.
pub(super) fn halves(n: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let order = draw(n, n / 2 * 2, &mut HostRng::new(seed, Stream::RESAMPLE, 0, 0));
    (order[..n / 2].to_vec(), order[n / 2..].to_vec())
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

    #[test]
    fn halves_are_disjoint_and_draws_do_not_repeat() {
        for n in [2, 7, 40] {
            let (a, b) = halves(n, 3);
            assert_eq!((a.len(), b.len()), (n / 2, n / 2));
            let mut all = [a, b].concat();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), n / 2 * 2);
        }
        assert_ne!(halves(40, 1), halves(40, 2));
    }

    #[test]
    fn images_are_picked_whole() {
        let set = ImageSet::from_bytes(&[0, 255, 51, 51, 0, 0, 0, 255], 2, 1);
        assert_eq!((set.len(), set.image(0)), (2, &[-1.0, 1.0, -0.6, -0.6][..]));
        assert_eq!(set.pick(&[1, 0]).image(0), set.image(1));
    }
}
