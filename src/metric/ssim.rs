//! MS-SSIM (Wang, Simoncelli, Bovik 2003) between pairs of one set: a value near 1 means that the images are all alike.

use crate::kernels::rng::{HostRng, Stream};
use rayon::prelude::*;

const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// (K1 L)^2 and (K2 L)^2 with K1 = 0.01, K2 = 0.03 and the byte range L = 255: the luminance term is defined for
/// non-negative pixels.
const C1: f64 = 2.55 * 2.55;
const C2: f64 = 7.65 * 7.65;
/// Number of pairs.
pub const PAIRS: usize = 500;

/// Number of scales for an image: each halves it, and the window must still fit; at most 5.
pub fn scales(size: usize) -> usize {
    (1..WEIGHTS.len()).take_while(|s| size >> s >= WINDOW).count() + 1
}

/// Maximum number of whole images from which pairs are drawn.
pub(super) const WHOLE: usize = 1000;

/// Mean MS-SSIM of 500 random pairs of different images, `[size][size][channels]` in bytes; NaN for fewer than 2.
pub fn diversity(images: &[&[u8]], size: usize, channels: usize, seed: u64) -> f64 {
    let n = images.len() as u32;
    if n < 2 {
        return f64::NAN;
    }
    let mut rng = HostRng::new(seed, Stream::RESAMPLE, 3, 0);
    let pairs: Vec<(usize, usize)> = (0..PAIRS)
        .map(|_| {
            let (a, b) = (rng.below(n), rng.below(n - 1));
            (a as usize, (if b < a { b } else { b + 1 }) as usize)
        })
        .collect();
    let value = |(a, b): &(usize, usize)| ms_ssim(images[*a], images[*b], size, channels);
    let values: Vec<f64> = pairs.par_iter().map(value).collect();
    values.iter().sum::<f64>() / PAIRS as f64
}

/// MS-SSIM of two images `[size][size][channels]` of bytes: 11 x 11 Gaussian window (sigma 1.5), no padding, 2 x 2
/// means between scales, the first [`scales`] weights normalised to sum 1, negative terms replaced by 0, mean over
/// channels.
///
/// # Panics
/// If an image's length is wrong, or `size` is below 11.
pub fn ms_ssim(a: &[u8], b: &[u8], size: usize, channels: usize) -> f64 {
    assert!(size >= WINDOW && a.len() == size * size * channels && b.len() == a.len(), "two images of equal size");
    let plane = |x: &[u8], c: usize| x.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect::<Vec<_>>();
    (0..channels).map(|c| plane_ms_ssim(plane(a, c), plane(b, c), size)).sum::<f64>() / channels as f64
}

fn plane_ms_ssim(mut a: Vec<f64>, mut b: Vec<f64>, mut side: usize) -> f64 {
    let weights = &WEIGHTS[..scales(side)];
    let total: f64 = weights.iter().sum();
    let mut value = 1.0;
    for (level, weight) in weights.iter().enumerate() {
        let (whole, contrast) = terms(&a, &b, side);
        let term = if level + 1 == weights.len() { whole } else { contrast };
        value *= term.max(0.0).powf(weight / total);
        (a, b, side) = (halve(&a, side), halve(&b, side), side / 2);
    }
    value
}

/// Mean SSIM, and the mean of its contrast and structure terms alone.
fn terms(a: &[f64], b: &[f64], side: usize) -> (f64, f64) {
    let times = |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x * y).collect() };
    let (ma, mb) = (blur(a, side), blur(b, side));
    let (aa, bb, ab) = (blur(&times(a, a), side), blur(&times(b, b), side), blur(&times(a, b), side));
    let (mut whole, mut contrast) = (0.0, 0.0);
    for i in 0..ma.len() {
        let (ma, mb) = (ma[i], mb[i]);
        let cs = (2.0 * (ab[i] - ma * mb) + C2) / (aa[i] - ma * ma + bb[i] - mb * mb + C2);
        contrast += cs;
        whole += cs * (2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1);
    }
    (whole / ma.len() as f64, contrast / ma.len() as f64)
}

/// The Gaussian window over `[side][side]` wherever it fits: rows, then columns.
fn blur(x: &[f64], side: usize) -> Vec<f64> {
    let half = (WINDOW / 2) as f64;
    let raw: [f64; WINDOW] = std::array::from_fn(|i| (-(i as f64 - half).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = raw.iter().sum();
    let taps = raw.map(|v| v / sum);
    let out = side - WINDOW + 1;
    let mut rows = Vec::with_capacity(side * out);
    for line in x.chunks_exact(side) {
        rows.extend(line.windows(WINDOW).map(|w| w.iter().zip(&taps).map(|(v, t)| v * t).sum::<f64>()));
    }
    let mut values = vec![0.0; out * out];
    for (y, line) in values.chunks_exact_mut(out).enumerate() {
        for (k, tap) in taps.iter().enumerate() {
            line.iter_mut().zip(&rows[(y + k) * out..]).for_each(|(s, v)| *s += tap * v);
        }
    }
    values
}

fn halve(x: &[f64], side: usize) -> Vec<f64> {
    let half = side / 2;
    let at = |y: usize, v: usize| x[y * side + v];
    let mean = |i: usize| {
        let (y, v) = (2 * (i / half), 2 * (i % half));
        (at(y, v) + at(y, v + 1) + at(y + 1, v) + at(y + 1, v + 1)) / 4.0
    };
    (0..half * half).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_follow_the_size() {
        assert_eq!([16, 32, 64, 128, 256].map(scales), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn alike_is_one_and_noise_is_low() {
        let mut rng = HostRng::new(1, Stream::CHECK, 0, 0);
        let noise: Vec<u8> = (0..20 * 32 * 32).map(|_| rng.below(256) as u8).collect();
        let all: Vec<&[u8]> = noise.chunks_exact(32 * 32).collect();
        let one = vec![all[0]; 20];
        assert!((diversity(&one, 32, 1, 1) - 1.0).abs() < 1e-12);
        let low = diversity(&all, 32, 1, 1);
        assert!((0.0..0.3).contains(&low), "{low}");
        assert!(diversity(&all[..1], 32, 1, 1).is_nan());
    }
}
