//! Data that the metrics keep of a set of images that arrives batch by batch: features, patches, scores of the search
//! for the trigger, and a bounded random choice of whole images. Nothing depends on the order of the images.

use super::extractor::Extractor;
use super::images::{ImageSet, Keys, bytes};
use super::leakage::Leakage;
use super::lite0::Features;
use super::sliced::{self, Patches};
use crate::Result;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Images per batch when a whole set is available.
pub(super) const BATCH: usize = 64;

/// The data to keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Number of expected images.
    pub images: usize,
    /// Number of whole images to keep, those with the smallest keys: a random choice of all.
    pub whole: usize,
    /// Whether patches are needed.
    pub patches: bool,
}

impl Keep {
    /// Maximum bytes for a set after all images have arrived, with `features` of each.
    pub fn bytes(&self, features: usize, size: usize, channels: usize) -> u64 {
        let image = (size * size * channels) as u64;
        let patches = if self.patches { sliced::bytes(self.images, size, channels) } else { 0 };
        8 * (self.images * features) as u64 + patches + image * self.whole.min(self.images) as u64
    }
}

/// Images seen so far.
#[derive(Debug)]
pub(super) struct Gathered {
    pub keep: Keep,
    pub size: usize,
    pub channels: usize,
    keys: Keys,
    order: Vec<u128>,
    features: Vec<f64>,
    /// Features of each image; 1 without any.
    d: usize,
    patches: Vec<Patches>,
    whole: BTreeMap<u128, Vec<u8>>,
    /// Scores of the search for the trigger, in order of arrival.
    pub scores: Vec<f64>,
    /// Images with a non-finite pixel.
    pub nonfinite: usize,
    /// Images of finite pixels with a non-finite feature.
    pub odd: usize,
}

impl Gathered {
    pub fn new(keep: Keep, seed: u64, size: usize, channels: usize) -> Gathered {
        Gathered {
            keep,
            size,
            channels,
            keys: Keys::new(seed),
            order: Vec::new(),
            features: Vec::new(),
            d: 1,
            patches: Vec::new(),
            whole: BTreeMap::new(),
            scores: Vec::new(),
            nonfinite: 0,
            odd: 0,
        }
    }

    /// Images so far.
    pub fn n(&self) -> usize {
        self.order.len()
    }

    /// Adds a batch; non-finite values are counted and replaced by 0.
    ///
    /// # Errors
    /// Those of the network.
    pub fn add(&mut self, set: &ImageSet, network: Option<&Extractor>, leakage: Option<&Leakage>) -> Result<()> {
        let (set, bad) = &set.finite();
        self.nonfinite += bad;
        let all: Vec<Vec<u8>> = (0..set.len()).map(|i| bytes(set.image(i))).collect();
        let keys: Vec<u128> = all.iter().map(|image| self.keys.next(image)).collect();
        if let Some(network) = network {
            self.d = network.features();
            let mut features = network.of(set)?;
            for row in features.chunks_exact_mut(self.d).filter(|row| row.iter().any(|v| !v.is_finite())) {
                self.odd += 1;
                row.fill(0.0);
            }
            self.features.extend(features);
        }
        if let Some(leakage) = leakage {
            self.scores.extend(leakage.scores(set));
        }
        if self.keep.patches {
            let of = |(image, key): (&Vec<u8>, &u128)| {
                sliced::patches(image, *key, self.keep.images, self.size, self.channels)
            };
            self.patches.extend(all.par_iter().zip(&keys).map(of).collect::<Vec<_>>());
        }
        for (image, key) in all.into_iter().zip(&keys).filter(|_| self.keep.whole > 0) {
            self.whole.insert(*key, image);
            if self.whole.len() > self.keep.whole {
                self.whole.pop_last();
            }
        }
        self.order.extend(keys);
        Ok(())
    }

    /// Sorts everything by key: a random order that depends on the seed, not on the order of arrival.
    pub fn sort(&mut self) {
        let mut ranks: Vec<usize> = (0..self.order.len()).collect();
        ranks.sort_unstable_by_key(|i| self.order[*i]);
        permute(&mut self.features, &ranks, self.d);
        if self.keep.patches {
            let mut slots: Vec<Option<Patches>> = std::mem::take(&mut self.patches).into_iter().map(Some).collect();
            self.patches = ranks.iter().filter_map(|i| slots[*i].take()).collect();
        }
        self.order.sort_unstable();
    }

    /// Takes the features, `[n][d]`.
    pub fn take_features(&mut self) -> Features {
        Features::new(std::mem::take(&mut self.features), self.d)
    }

    /// Patches of all images, image by image.
    pub fn patches(&self) -> Vec<&Patches> {
        self.patches.iter().collect()
    }

    /// Patches of images `from..from + n` in key order, as many of each as a set of `n` needs.
    pub fn patches_of(&self, from: usize, n: usize) -> Vec<Patches> {
        let whole: Vec<(&u128, &Vec<u8>)> = self.whole.iter().skip(from).take(n).collect();
        match sliced::each(n) == sliced::each(self.keep.images) {
            true => self.patches[from..from + n].to_vec(),
            false => {
                whole.par_iter().map(|(k, image)| sliced::patches(image, **k, n, self.size, self.channels)).collect()
            }
        }
    }

    /// The whole images with the `n` smallest keys, in key order.
    pub fn whole(&self, n: usize) -> Vec<&[u8]> {
        self.whole.values().take(n).map(Vec::as_slice).collect()
    }
}

/// Permutes rows in place: row `i` becomes the old row `ranks[i]`.
fn permute(values: &mut [f64], ranks: &[usize], d: usize) {
    if values.is_empty() {
        return;
    }
    let mut done = vec![false; ranks.len()];
    let mut first = vec![0.0; d];
    for start in 0..ranks.len() {
        if done[start] {
            continue;
        }
        first.copy_from_slice(&values[start * d..(start + 1) * d]);
        let mut at = start;
        while ranks[at] != start {
            let from = ranks[at];
            values.copy_within(from * d..(from + 1) * d, at * d);
            done[at] = true;
            at = from;
        }
        values[at * d..(at + 1) * d].copy_from_slice(&first);
        done[at] = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_permuted_in_place() {
        for ranks in [vec![0, 1, 2, 3], vec![1, 2, 3, 0], vec![2, 1, 0, 3], vec![3, 2, 1, 0], vec![2, 3, 1, 0]] {
            let mut values = vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5];
            let expected: Vec<f64> = ranks.iter().flat_map(|r| [*r as f64, *r as f64 + 0.5]).collect();
            permute(&mut values, &ranks, 2);
            assert_eq!(values, expected, "{ranks:?}");
        }
    }

    #[test]
    fn the_choice_of_whole_images_is_bounded_and_independent_of_order() {
        let images = ImageSet::new((0..40 * 256).map(|i| ((i / 256) as f32 / 20.0) - 1.0).collect(), 16, 1);
        let keep = Keep { images: 40, whole: 7, patches: true };
        let gathered = |order: Vec<usize>| {
            let mut g = Gathered::new(keep, 3, 16, 1);
            order.chunks(9).for_each(|part| g.add(&images.pick(part), None, None).unwrap());
            g.sort();
            g
        };
        let (a, b) = (gathered((0..40).collect()), gathered((0..40).rev().collect()));
        assert_eq!((a.whole(7), a.whole(9).len()), (b.whole(7), 7));
        assert_eq!(a.patches(), b.patches());
        assert_eq!(a.n(), 40);
    }
}
