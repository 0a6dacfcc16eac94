//! Threefry-4x32-20 (Salmon, Moraes, Dror, Shaw: *Parallel random numbers: as easy as 1, 2, 3*, SC 2011) and the host's
//! random streams. Device rows and host streams use the same keys; word 3 of the counter separates them.

const PARITY: u32 = 0x1BD1_1BDA;
const ROTATIONS: [[u32; 2]; 8] = [[10, 26], [11, 21], [13, 27], [23, 5], [6, 20], [17, 11], [25, 10], [18, 20]];
/// Word 3 of every host counter; device rows have 0 there.
const HOST: u32 = 1;

/// The Threefry-4x32 block function with 20 rounds.
pub fn threefry4x32(key: [u32; 4], counter: [u32; 4]) -> [u32; 4] {
    #[cfg(test)]
    super::witness::saw(key, counter);
    let schedule = [key[0], key[1], key[2], key[3], PARITY ^ key[0] ^ key[1] ^ key[2] ^ key[3]];
    let mut x: [u32; 4] = std::array::from_fn(|i| counter[i].wrapping_add(key[i]));
    for round in 0..20 {
        let [left, right] = ROTATIONS[round % 8];
        // Even rounds mix words (0, 1) and (2, 3), odd rounds (0, 3) and (2, 1).
        let (b, d) = if round % 2 == 0 { (1, 3) } else { (3, 1) };
        x[0] = x[0].wrapping_add(x[b]);
        x[b] = x[b].rotate_left(left) ^ x[0];
        x[2] = x[2].wrapping_add(x[d]);
        x[d] = x[d].rotate_left(right) ^ x[2];
        if round % 4 == 3 {
            let inject = round / 4 + 1;
            for (i, word) in x.iter_mut().enumerate() {
                *word = word.wrapping_add(schedule[(inject + i) % 5]);
            }
            x[3] = x[3].wrapping_add(inject as u32);
        }
    }
    x
}

/// A seed as the two key words `seed_lo`, `seed_hi`.
pub fn seed_words(seed: u64) -> (u32, u32) {
    (seed as u32, (seed >> 32) as u32)
}

/// The use of random numbers: word 2 of the key, so that no two uses share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream(pub u32);

impl Stream {
    /// Latents of the discriminator's steps.
    pub const LATENT_D: Stream = Stream(1);
    /// Latents of the generator's steps.
    pub const LATENT_G: Stream = Stream(2);
    /// The order in which a client sees its images.
    pub const ORDER: Stream = Stream(3);
    /// The images that a malicious client poisons.
    pub const POISON: Stream = Stream(4);
    /// Latents of sample grids and of `fedgan sample`.
    pub const SAMPLE: Stream = Stream(5);
    /// Interpolation weights of the gradient penalty.
    pub const INTERPOLATION: Stream = Stream(6);
    /// The partition of the data among clients.
    pub const PARTITION: Stream = Stream(7);
    /// Procedural images.
    pub const SYNTHETIC: Stream = Stream(8);
    /// The detector's trees.
    pub const DETECTOR: Stream = Stream(9);
    /// Latents of evaluation rounds.
    pub const EVALUATION: Stream = Stream(10);
    /// Bootstrap and other resampling in reports and metrics.
    pub const RESAMPLE: Stream = Stream(11);
    /// Fills of validation cases.
    pub const CHECK: Stream = Stream(12);
    /// Latents of the server's probe.
    pub const PROBE: Stream = Stream(13);
    /// Noise on aggregated weights.
    pub const AGGREGATION: Stream = Stream(14);
    /// The order in which clients are put into buckets.
    pub const BUCKETS: Stream = Stream(15);
    /// The coordinates by which clients are compared.
    pub const COLUMNS: Stream = Stream(16);
    /// Latents on which the server measures statistics.
    pub const STATISTICS: Stream = Stream(17);
    /// Noise on the updates of malicious clients.
    pub const ATTACK: Stream = Stream(18);
    /// Distances beyond the extremes of updates.
    pub const BEYOND: Stream = Stream(19);
    /// Random parts of a trigger.
    pub const TRIGGER: Stream = Stream(20);

    /// Initial values of parameter tensor `tensor` of network `network` (0 generator, 1 discriminator), `tensor` below 2^15.
    pub const fn init(network: u32, tensor: u32) -> Stream {
        Stream(0x1_0000 + (network << 15) + tensor)
    }
}

/// Random numbers on the host, from (seed, stream, client, round): the same on every machine and in every order of
/// drawing.
#[derive(Clone, Debug)]
pub struct HostRng {
    key: [u32; 4],
    round: u32,
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl HostRng {
    /// The start of a stream.
    pub fn new(seed: u64, stream: Stream, client: u32, round: u32) -> Self {
        let (lo, hi) = seed_words(seed);
        HostRng { key: [lo, hi, stream.0, client], round, block: 0, words: [0; 4], used: 4 }
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            let counter = [self.block as u32, (self.block >> 32) as u32, self.round, HOST];
            self.words = threefry4x32(self.key, counter);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// 64 random bits.
    pub fn bits64(&mut self) -> u64 {
        let low = self.bits() as u64;
        low | (self.bits() as u64) << 32
    }

    /// Uniform in [0, 1), a multiple of 2^-24.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform integer in 0..n, without bias (Lemire's multiply and reject); 0 when `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        let threshold = if n == 0 { 0 } else { n.wrapping_neg() % n };
        loop {
            let product = self.bits() as u64 * n as u64;
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// A standard normal number (Box-Muller in f64; the second of each pair is discarded).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Shuffles in place (Fisher-Yates); slices of up to 2^32 - 1 elements.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        let vectors = [
            ([0; 4], [0; 4], [0x9c6c_a96a, 0xe17e_ae66, 0xfc10_ecd4, 0x5256_a7d8]),
            ([u32::MAX; 4], [u32::MAX; 4], [0x2a88_1696, 0x5701_2287, 0xf6c7_446e, 0xa16a_6732]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0, 0x082e_fa98, 0xec4e_6c89],
                [0x59cd_1dbb, 0xb887_9579, 0x86b5_d00c, 0xac8b_6d84],
            ),
        ];
        for (counter, key, want) in vectors {
            assert_eq!(threefry4x32(key, counter), want);
        }
    }

    /// Streams are word 2 of the key: the named ones and those of the parameter tensors are all different.
    #[test]
    fn streams_are_distinct() {
        let named: Vec<u32> = [
            Stream::LATENT_D,
            Stream::LATENT_G,
            Stream::ORDER,
            Stream::POISON,
            Stream::SAMPLE,
            Stream::INTERPOLATION,
            Stream::PARTITION,
            Stream::SYNTHETIC,
            Stream::DETECTOR,
            Stream::EVALUATION,
            Stream::RESAMPLE,
            Stream::CHECK,
            Stream::PROBE,
            Stream::AGGREGATION,
            Stream::BUCKETS,
            Stream::COLUMNS,
            Stream::ATTACK,
            Stream::BEYOND,
        ]
        .map(|s| s.0)
        .into();
        let ends = [(0, 0), (0, (1 << 15) - 1), (1, 0), (1, (1 << 15) - 1)].map(|(n, t)| Stream::init(n, t).0);
        assert!(ends.is_sorted_by(|a, b| a < b) && named.iter().all(|s| *s < ends[0]));
        let distinct: std::collections::BTreeSet<_> = named.iter().collect();
        assert_eq!(distinct.len(), named.len());
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream, client, round| {
            let mut rng = HostRng::new(seed, stream, client, round);
            (0..9).map(|_| rng.bits()).collect::<Vec<_>>()
        };
        let first = draw(1, Stream::ORDER, 0, 0);
        assert_eq!(first, draw(1, Stream::ORDER, 0, 0));
        for other in [
            draw(2, Stream::ORDER, 0, 0),
            draw(1 << 32 | 1, Stream::ORDER, 0, 0),
            draw(1, Stream::POISON, 0, 0),
            draw(1, Stream::ORDER, 1, 0),
            draw(1, Stream::ORDER, 0, 1),
        ] {
            assert!(first.iter().zip(&other).all(|(a, b)| a != b));
        }
        assert_ne!(Stream::init(0, 1), Stream::init(1, 1));
    }

    #[test]
    fn integers_are_even_and_shuffles_are_permutations() {
        let mut rng = HostRng::new(7, Stream::CHECK, 0, 0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        // Standard deviation 93; six of them are allowed.
        assert!(counts.iter().all(|c| c.abs_diff(10_000) < 560), "{counts:?}");
        let mut first = [0u32; 5];
        for _ in 0..50_000 {
            let mut items = [0, 1, 2, 3, 4];
            rng.shuffle(&mut items);
            first[items[0]] += 1;
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2, 3, 4]);
        }
        assert!(first.iter().all(|c| c.abs_diff(10_000) < 540), "{first:?}");
        assert_eq!(rng.below(1), 0);
    }
}
