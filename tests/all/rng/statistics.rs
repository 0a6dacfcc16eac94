//! Moments, distributions, bits and correlations of a million numbers, with fixed seeds: each test allows the
//! deviations expected by chance (4 standard errors, or a probability of about 1e-4), and the last one shows that
//! flawed numbers are detected.

use super::{bits, gpu, normals, uniforms};
use fedgan::exec::{CpuEngine, Engine};
use fedgan::kernels::Class;
use fedgan::kernels::rng::{HostRng, RngParams, Stream, threefry4x32};

const N: usize = 1 << 20;
/// Standard errors by which an estimate may deviate.
const ERRORS: f64 = 4.0;

fn params(seed: u32) -> RngParams {
    let stream = Stream::CHECK.0;
    RngParams { clients: 1, n: N as u32, seed_lo: seed, stream, a: 0.0, b: 1.0, ..Default::default() }
}

/// The cpu engine, and the adapter with the variants for hardware.
fn engines() -> [(&'static str, Box<dyn Engine>); 2] {
    [("cpu", Box::new(CpuEngine::new())), ("gpu", gpu(Class::Tiled))]
}

/// The deviation of the first four central moments in standard errors: mean, variance, and the third and fourth
/// moments, from which skewness and kurtosis are computed. `moments[k]` is the distribution's central moment k, from 0
/// to 8; the standard error of moment k over n numbers is sqrt((m_2k - m_k^2) / n).
fn moment_errors(x: &[f64], mean: f64, moments: [f64; 9]) -> [f64; 4] {
    let n = x.len() as f64;
    std::array::from_fn(|i| {
        let k = i + 1;
        let found = x.iter().map(|x| (x - mean).powi(k as i32)).sum::<f64>() / n;
        (found - moments[k]) / ((moments[2 * k] - moments[k].powi(2)) / n).sqrt()
    })
}

const NORMAL: [f64; 9] = [1.0, 0.0, 1.0, 0.0, 3.0, 0.0, 15.0, 0.0, 105.0];

/// For the uniform distribution on an interval of length 1: 1 / ((k + 1) 2^k) for even k.
fn uniform_moments() -> [f64; 9] {
    std::array::from_fn(|k| if k % 2 == 0 { 1.0 / ((k + 1) as f64 * (1 << k) as f64) } else { 0.0 })
}

/// sqrt(n) times the Kolmogorov-Smirnov distance from the distribution `cdf`: above 2.23 with a probability of 1e-4.
fn kolmogorov(mut x: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    x.sort_by(f64::total_cmp);
    let n = x.len() as f64;
    let gaps = x.iter().enumerate().map(|(i, x)| {
        let p = cdf(*x);
        (p - i as f64 / n).abs().max(((i + 1) as f64 / n - p).abs())
    });
    gaps.fold(0.0, f64::max) * n.sqrt()
}

/// Phi by Marsaglia's series (*Evaluating the normal distribution*, 2004), accurate to 1e-14 within 7 standard
/// deviations.
fn normal_cdf(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (x, x, 1.0);
    while sum + term != sum {
        k += 2.0;
        term *= x * x / k;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// The deviation of a chi-square statistic of equally likely cells from its mean, in standard deviations.
fn chi_square(counts: &[u32]) -> f64 {
    let (cells, all) = (counts.len() as f64, counts.iter().sum::<u32>() as f64);
    let expected = all / cells;
    let statistic: f64 = counts.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum();
    (statistic - (cells - 1.0)) / (2.0 * (cells - 1.0)).sqrt()
}

fn byte_counts(words: &[u32]) -> [Vec<u32>; 4] {
    let mut counts: [Vec<u32>; 4] = std::array::from_fn(|_| vec![0; 256]);
    for word in words {
        for (count, byte) in counts.iter_mut().zip(word.to_le_bytes()) {
            count[byte as usize] += 1;
        }
    }
    counts
}

/// sqrt(n) times the correlation of two streams of words, as numbers around 0: standard normal for independent streams.
fn correlation(a: &[u32], b: &[u32]) -> f64 {
    let centred = |w: &u32| (f64::from(*w) + 0.5) / 4_294_967_296.0 - 0.5;
    let sum: f64 = a.iter().zip(b).map(|(a, b)| centred(a) * centred(b)).sum();
    sum * 12.0 / (a.len() as f64).sqrt()
}

/// The same for their bits: the deviation of the number of equal bits from one half, in standard errors.
fn equal_bits(a: &[u32], b: &[u32]) -> f64 {
    let equal: u64 = a.iter().zip(b).map(|(a, b)| u64::from((a ^ b).count_zeros())).sum();
    let bits = 32.0 * a.len() as f64;
    (equal as f64 - bits / 2.0) / (bits.sqrt() / 2.0)
}

#[test]
fn uniforms_have_their_moments_and_their_distribution() {
    for (name, mut engine) in engines() {
        let x = uniforms(engine.as_mut(), &params(1));
        assert!(x.iter().all(|x| (0.0..1.0).contains(x)), "{name}");
        let errors = moment_errors(&x, 0.5, uniform_moments());
        assert!(errors.iter().all(|e| e.abs() < ERRORS), "{name}: moments off by {errors:?} standard errors");
        let distance = kolmogorov(x, |x| x);
        assert!(distance < 2.23, "{name}: Kolmogorov-Smirnov {distance}");
    }
}

#[test]
fn normals_have_their_moments_and_their_distribution() {
    for (name, mut engine) in engines() {
        let z = normals(engine.as_mut(), &params(2));
        let errors = moment_errors(&z, 0.0, NORMAL);
        assert!(errors.iter().all(|e| e.abs() < ERRORS), "{name}: moments off by {errors:?} standard errors");
        // The two numbers of a Box-Muller pair, and neighbouring pairs: products of independent standard normals have
        // standard deviation 1.
        for lag in 1..=4 {
            let sum: f64 = z.iter().zip(&z[lag..]).map(|(a, b)| a * b).sum();
            assert!((sum / (N as f64).sqrt()).abs() < ERRORS, "{name}: lag {lag}");
        }
        let (even, odd): (Vec<f64>, Vec<f64>) = z.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip();
        // Radius and angle: the squares of a pair are also independent (the variance of (z^2 - 1)(w^2 - 1) is 4).
        let squares: f64 = even.iter().zip(&odd).map(|(a, b)| (a * a - 1.0) * (b * b - 1.0)).sum();
        assert!((squares / (4.0 * even.len() as f64).sqrt()).abs() < ERRORS, "{name}: squares of a pair");
        for part in [even, odd] {
            let distance = kolmogorov(part, normal_cdf);
            assert!(distance < 2.23, "{name}: Kolmogorov-Smirnov {distance}");
        }
    }
    assert!((normal_cdf(1.0) - 0.841_344_746_068_543).abs() < 1e-14 && normal_cdf(-6.0) > 0.0);
}

#[test]
fn bits_bytes_and_pairs_are_even() {
    let words = bits(&mut CpuEngine::new(), &params(3), 5, 6);
    for (place, counts) in byte_counts(&words).iter().enumerate() {
        assert!(chi_square(counts).abs() < ERRORS, "byte {place}: {}", chi_square(counts));
    }
    for bit in 0..32 {
        let ones = words.iter().filter(|w| *w >> bit & 1 == 1).count() as f64;
        let off = (ones - N as f64 / 2.0) / ((N as f64).sqrt() / 2.0);
        assert!(off.abs() < ERRORS, "bit {bit}: {off}");
    }
    // Each word's high byte with the next word's: 65,536 cells of 16.
    let mut pairs = vec![0; 1 << 16];
    words.windows(2).step_by(2).for_each(|w| pairs[(w[0] >> 24 << 8 | w[1] >> 24) as usize] += 1);
    assert!(chi_square(&pairs).abs() < ERRORS, "pairs: {}", chi_square(&pairs));
}

/// Neighbours in every word of key and counter: clients, seeds, streams, rounds, steps, and the host's draws compared
/// with the device's.
#[test]
fn neighbouring_streams_are_independent() {
    const M: u32 = 1 << 16;
    let mut engine = CpuEngine::new();
    let p = RngParams { n: M, client_base: 4, stream: 1, ..params(7) };
    let first = bits(&mut engine, &p, 20, 3);
    let mut others = vec![
        ("client", bits(&mut engine, &RngParams { client_base: 5, ..p }, 20, 3)),
        ("stream", bits(&mut engine, &RngParams { stream: 2, ..p }, 20, 3)),
        ("seed", bits(&mut engine, &RngParams { seed_lo: 8, ..p }, 20, 3)),
        ("high seed", bits(&mut engine, &RngParams { seed_hi: 1, ..p }, 20, 3)),
        ("step", bits(&mut engine, &p, 21, 3)),
        ("round", bits(&mut engine, &p, 20, 4)),
        ("step and round swapped", bits(&mut engine, &p, 3, 20)),
        ("client and stream swapped", bits(&mut engine, &RngParams { client_base: 1, stream: 4, ..p }, 20, 3)),
    ];
    let mut host = HostRng::new(7, Stream(1), 4, 3);
    others.push(("host", (0..M).map(|_| host.bits()).collect()));
    others.push(("next element", first[1..].to_vec()));
    others.push(("next block", first[4..].to_vec()));
    for (what, other) in &others {
        let (r, equal) = (correlation(&first, other), equal_bits(&first, other));
        assert!(
            r.abs() < ERRORS && equal.abs() < ERRORS,
            "{what}: correlation {r}, equal bits {equal} standard errors"
        );
    }
}

/// Any single bit of key or counter changes half of the 128 bits of a block.
#[test]
fn every_input_bit_reaches_every_output_word() {
    const BLOCKS: u32 = 256;
    for bit in 0..256u32 {
        let mut flips = [0u32; 4];
        for block in 0..BLOCKS {
            let input = [block, 1, 2, 3, 4, 5, 6, 7u32.wrapping_mul(block)];
            let mut changed = input;
            changed[bit as usize / 32] ^= 1 << (bit % 32);
            let run = |x: [u32; 8]| threefry4x32([x[4], x[5], x[6], x[7]], [x[0], x[1], x[2], x[3]]);
            let (a, b) = (run(input), run(changed));
            (0..4).for_each(|i| flips[i] += (a[i] ^ b[i]).count_ones());
        }
        let n = f64::from(32 * BLOCKS);
        for (word, flips) in flips.iter().enumerate() {
            // 1024 comparisons: the largest of that many is within 5 standard deviations.
            let off = (f64::from(*flips) - n / 2.0) / (n.sqrt() / 2.0);
            assert!(off.abs() < 5.0, "input bit {bit}, word {word}: {off}");
        }
    }
}

/// The tests detect slightly wrong numbers: a mean off by half a per cent, 23 bits instead of 24, a truncated tail, a
/// repeated stream.
#[test]
fn flawed_numbers_are_found() {
    let mut engine = CpuEngine::new();
    let z = normals(&mut engine, &params(2));
    let off = |z: &[f64]| moment_errors(z, 0.0, NORMAL).iter().any(|e| e.abs() > ERRORS);
    let changed = |f: &dyn Fn(f64) -> f64| z.iter().map(|z| f(*z)).collect::<Vec<f64>>();
    assert!(!off(&z));
    assert!(off(&changed(&|z| z + 0.005)) && off(&changed(&|z| 1.004 * z)));
    assert!(off(&changed(&|z| z.clamp(-3.5, 3.5))), "a cut tail");
    assert!(kolmogorov(changed(&|z| z + 0.008), normal_cdf) > 2.23);
    assert!(kolmogorov(changed(&|z| (16.0 * z).round() / 16.0), normal_cdf) > 2.23, "coarse steps");
    let words = bits(&mut engine, &params(3), 5, 6);
    let bytes = |f: &dyn Fn(u32) -> u32| byte_counts(&words.iter().map(|w| f(*w)).collect::<Vec<_>>());
    assert!(chi_square(&bytes(&|w| w & !1)[0]) > ERRORS, "a dead bit");
    assert!(chi_square(&bytes(&|w| if w % 50 == 0 { 0 } else { w })[2]) > ERRORS, "one in fifty is 0");
    let lcg = |w: &u32| w.wrapping_mul(1_664_525);
    assert!(equal_bits(&words, &words.iter().map(|w| w ^ 1).collect::<Vec<_>>()) > ERRORS);
    assert!(
        equal_bits(&words, &words.iter().map(lcg).collect::<Vec<_>>()).abs() > ERRORS,
        "the low bits of a multiple"
    );
    assert!(
        correlation(&words, &words[1..].iter().zip(&words).map(|(a, b)| a / 2 + b / 2).collect::<Vec<_>>()) > ERRORS
    );
}
