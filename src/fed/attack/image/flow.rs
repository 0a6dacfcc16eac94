//! The field of the warp (Nguyen and Tran 2021, "WaNet: imperceptible warping-based backdoor attack"): a few random vectors,
//! interpolated to every pixel.

use crate::kernels::rng::{HostRng, Stream};

/// Shifts on a coarse grid: `[2][k][k]`, along the columns and along the rows, with a mean magnitude of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Points of the grid along each axis.
    pub k: usize,
    /// The shifts.
    pub values: Vec<f64>,
}

/// For every pixel of an image of `size` x `size` the four pixels that it is sampled from, and their shares.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Height and width of the images.
    pub size: usize,
    /// `[size][size]`: row * size + column of the upper left source pixel.
    pub source: Vec<u32>,
    /// `[size][size][2]`: shares of the right and of the lower neighbours, 0 to 1.
    pub shares: Vec<f64>,
}

impl Flow {
    /// Uniform in [-1, 1) by seed, divided by the mean magnitude.
    pub fn random(k: usize, seed: u64) -> Flow {
        let mut rng = HostRng::new(seed, Stream::TRIGGER, 0, 0);
        Flow::of(k, (0..2 * k * k).map(|_| rng.range(-1.0, 1.0)).collect())
    }

    /// Shifts `[2][k][k]` divided by their mean magnitude.
    pub fn of(k: usize, values: Vec<f64>) -> Flow {
        let mean = values.iter().map(|v| v.abs()).sum::<f64>() / values.len() as f64;
        Flow { k, values: values.into_iter().map(|v| v / mean.max(f64::MIN_POSITIVE)).collect() }
    }

    /// The shift at pixel (`row`, `column`) of an image of `size` x `size`: bicubic, the grid's corners at the image's, the edges
    /// repeated.
    fn at(&self, axis: usize, row: usize, column: usize, size: usize) -> f64 {
        let grid = &self.values[axis * self.k * self.k..][..self.k * self.k];
        let place = |i: usize| if size > 1 { i as f64 * (self.k - 1) as f64 / (size - 1) as f64 } else { 0.0 };
        let taps = |i: usize| {
            let first = place(i).floor();
            let weights = cubic(place(i) - first);
            (0..4).map(move |tap| {
                ((first as isize + tap - 1).clamp(0, self.k as isize - 1) as usize, weights[tap as usize])
            })
        };
        let line = |row: usize| taps(column).map(|(column, weight)| weight * grid[row * self.k + column]).sum::<f64>();
        taps(row).map(|(row, weight)| weight * line(row)).sum()
    }

    /// The field of a warp of this strength: pixel I reads at clip(I + strength flow / size, -1, 1), where -1 and 1 are the centres
    /// of the outermost pixels.
    pub fn field(&self, size: usize, strength: f64) -> Field {
        let (mut source, mut shares) = (Vec::new(), Vec::new());
        let last = size.saturating_sub(1) as f64;
        for (row, column) in (0..size * size).map(|at| (at / size, at % size)) {
            let place = |axis: usize, i: usize| {
                let here = if size > 1 { 2.0 * i as f64 / last - 1.0 } else { -1.0 };
                let there = here + strength * self.at(axis, row, column, size) / size as f64;
                let pixel = (there.clamp(-1.0, 1.0) + 1.0) / 2.0 * last;
                // The last pixel is the right neighbour of the last but one, so that both neighbours exist.
                let first = pixel.floor().min((last - 1.0).max(0.0));
                (first as u32, pixel - first)
            };
            let ((x, share), (y, down)) = (place(0, column), place(1, row));
            source.push(y * size as u32 + x);
            shares.extend([share, down]);
        }
        Field { size, source, shares }
    }
}

/// The four weights of a cubic convolution with a = -0.75 at a distance `t` behind the second point.
fn cubic(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |d: f64| ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0;
    let far = |d: f64| ((d - 5.0) * d + 8.0) * d * A - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

impl Field {
    /// The four pixels of pixel `at`, by index, with their weights.
    pub fn taps(&self, at: usize) -> [(usize, f64); 4] {
        let first = self.source[at] as usize;
        let (share, down) = (self.shares[2 * at], self.shares[2 * at + 1]);
        let right = if first % self.size + 1 < self.size { 1 } else { 0 };
        let lower = if first / self.size + 1 < self.size { self.size } else { 0 };
        [
            (first, (1.0 - down) * (1.0 - share)),
            (first + right, (1.0 - down) * share),
            (first + lower, down * (1.0 - share)),
            (first + right + lower, down * share),
        ]
    }

    /// The warped image, `[size][size][channels]`.
    pub fn apply(&self, image: &[f64], channels: usize) -> Vec<f64> {
        let value = |(at, channel)| self.taps(at).iter().map(|(from, w)| w * image[from * channels + channel]).sum();
        let all = (0..self.source.len()).flat_map(|at| (0..channels).map(move |channel| (at, channel)));
        all.map(value).collect()
    }
}
