//! A small host-side generator for data and partitions. Device results never depend on it.

/// SplitMix64 (Steele, Lea, Flood 2014), seeded from a seed, a stream and a counter, so that draws for one image, class
/// or attempt do not depend on the number of draws for another.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64 {
    state: u64,
}

/// Odd increment of the Weyl sequence: 2^64 / golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function: a bijection of 64-bit words.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A word that depends on every bit of both inputs.
pub(crate) fn hash(a: u64, b: u64) -> u64 {
    mix(mix(a.wrapping_add(GAMMA)) ^ b.wrapping_mul(GAMMA))
}

impl SplitMix64 {
    /// The generator of (`seed`, `stream`, `counter`).
    pub(crate) fn new(seed: u64, stream: u64, counter: u64) -> Self {
        SplitMix64 { state: hash(hash(seed, stream), counter) }
    }

    /// The next 64 random bits.
    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// Uniform in [0, 1), 53 bits.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.word() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in (0, 1]: safe under a logarithm.
    pub(crate) fn uniform_positive(&mut self) -> f64 {
        1.0 - self.uniform()
    }

    /// Uniform in [`low`, `high`).
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform() as f32
    }

    /// Uniform in 0..`n` without bias (`n` > 0): words in the incomplete last interval are rejected.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        let reject_from = u64::MAX - u64::MAX % n;
        loop {
            let word = self.word();
            if word < reject_from {
                return word % n;
            }
        }
    }

    /// Standard normal (Box-Muller, cosine half).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform_positive().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A uniformly random order (Fisher-Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_sequence() {
        // First outputs of SplitMix64 from state 1234567, the published check of the algorithm.
        let mut rng = SplitMix64 { state: 1_234_567 };
        assert_eq!(rng.word(), 6_457_827_717_110_365_317);
        assert_eq!(rng.word(), 3_203_168_211_198_807_973);
        assert_eq!(rng.word(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn moments_and_ranges() {
        let mut rng = SplitMix64::new(1, 2, 3);
        let n = 20_000;
        let (mut sum, mut squares, mut uniform) = (0.0, 0.0, 0.0);
        let mut faces = [0u32; 6];
        for _ in 0..n {
            let x = rng.normal();
            sum += x;
            squares += x * x;
            let u = rng.uniform();
            assert!((0.0..1.0).contains(&u));
            uniform += u;
            faces[rng.below(6) as usize] += 1;
        }
        let n = f64::from(n);
        // Five standard deviations each.
        assert!((sum / n).abs() < 5.0 / n.sqrt());
        assert!((squares / n - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
        assert!((uniform / n - 0.5).abs() < 5.0 / (12.0 * n).sqrt());
        let spread = 5.0 * (n * 5.0 / 36.0).sqrt();
        assert!(faces.iter().all(|&f| (f64::from(f) - n / 6.0).abs() < spread), "{faces:?}");
    }

    #[test]
    fn streams_and_counters_differ() {
        let first = |seed, stream, counter| SplitMix64::new(seed, stream, counter).word();
        let all = [first(0, 0, 0), first(1, 0, 0), first(0, 1, 0), first(0, 0, 1)];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }

    /// All generators walk the same sequence of 2^64 states from different positions: those of partitions, splits and
    /// images, for some seeds, must be further apart than any of them draws.
    #[test]
    fn sequences_of_different_uses_do_not_overlap() {
        // Dirichlet shares and order by class, hold-out by class, images, IID, image grids: the streams of
        // `fed::partition` and of this module.
        let classes = (0..1000).flat_map(|class| [(0x4449_5200, class), (0x4449_524f, class)]);
        let others = (0..4000).flat_map(|i| [(0x4445_524d, i), (0x5350_4c49, i)]);
        let single = [(0x4949_4400, 0), (0x5348_4f57, 0)];
        let uses: Vec<(u64, u64)> = classes.chain(others).chain(single).collect();
        // GAMMA's inverse modulo 2^64, by Newton's iteration, converts a state to its position in the sequence.
        let inverse = (0..6).fold(GAMMA, |x, _| x.wrapping_mul(2u64.wrapping_sub(GAMMA.wrapping_mul(x))));
        assert_eq!(GAMMA.wrapping_mul(inverse), 1);
        let place = |seed, (stream, counter)| SplitMix64::new(seed, stream, counter).state.wrapping_mul(inverse);
        let mut places: Vec<u64> = (1..=3).flat_map(|seed| uses.iter().map(move |u| place(seed, *u))).collect();
        assert!(places.len() > 29_000);
        places.sort_unstable();
        let nearest = places.windows(2).map(|w| w[1] - w[0]).min().unwrap();
        assert!(nearest > 1 << 27, "two sequences start {nearest} draws apart");
    }

    #[test]
    fn shuffle_is_a_permutation() {
        let mut items: Vec<u32> = (0..100).collect();
        SplitMix64::new(5, 0, 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
