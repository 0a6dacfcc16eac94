//! Deterministic contents for a case's bindings.

use crate::kernels::{AnyKernel, Contents};
use crate::{Error, Result};

/// The kind of values in [`Contents::Real`] and [`Contents::Positive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Small integers (-3..=3, 1..=3): products and sums are exact in f32, so any order of summation gives equal bits.
    Exact,
    /// Normally distributed numbers: the rounding bound decides.
    Rounding,
    /// Normally distributed numbers with occasional NaN, except in operands that meet padding
    /// ([`crate::kernels::Kernel::meets_padding`]): every element that depends on a NaN is NaN, all others keep their bound.
    Nan,
    /// Normally distributed numbers with occasional infinities and subnormal numbers: an element whose reference is
    /// non-finite is non-finite, all others keep their bound.
    Extreme,
}

impl Pass {
    /// True for the passes with special values.
    pub fn special(self) -> bool {
        matches!(self, Pass::Nan | Pass::Extreme)
    }

    /// Special value number `which` for a fill with or without negative numbers.
    fn value(self, which: u32, signed: bool) -> u32 {
        let sign = if signed { which << 31 } else { 0 };
        match (self, which / 2 % 2) {
            (Pass::Nan, _) => nan_word(which as usize),
            (_, 0) => f32::INFINITY.to_bits() | sign,
            _ => 0x0012_3456 | sign,
        }
    }

    /// Puts special values into an operand of reals: always one, and one in [`SPARSE`] of the others.
    fn sprinkle(self, fill: &Contents, words: &mut [u32], random: &mut Random) {
        let Some(signed) = signed(fill) else { return };
        if !self.special() || words.is_empty() {
            return;
        }
        let certain = random.below(words.len() as u32) as usize;
        for (i, word) in words.iter_mut().enumerate() {
            if i == certain || random.below(SPARSE) == 0 {
                *word = self.value(random.below(8), signed);
            }
        }
    }
}

/// Whether an operand of reals has negative numbers; `None` for constants and integers, which get no special values.
pub(super) fn signed(fill: &Contents) -> Option<bool> {
    match fill {
        Contents::Real { scale, .. } if *scale != 0.0 => Some(true),
        Contents::Positive { .. } => Some(false),
        _ => None,
    }
}

/// One in this many elements is a special value.
const SPARSE: u32 = 61;

/// How a random problem changes the [`Contents::Real`] and [`Contents::Positive`] of its row; constants stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As the row says.
    #[default]
    Plain,
    /// Multiplied by 2^-12 in the rounding pass.
    Small,
    /// Multiplied by 2^12 in the rounding pass.
    Large,
    /// Seven of eight reals are 0, in both passes.
    Sparse,
}

impl Style {
    /// All of them, the simplest first.
    pub const ALL: [Style; 4] = [Style::Plain, Style::Small, Style::Large, Style::Sparse];

    /// The name in a repro.
    pub fn name(self) -> &'static str {
        match self {
            Style::Plain => "plain",
            Style::Small => "small",
            Style::Large => "large",
            Style::Sparse => "sparse",
        }
    }

    fn factor(self) -> f64 {
        match self {
            Style::Small => 1.0 / 4096.0,
            Style::Large => 4096.0,
            Style::Plain | Style::Sparse => 1.0,
        }
    }

    /// Scaled, except for constants.
    fn of(self, fill: &Contents) -> Contents {
        let factor = self.factor();
        match fill {
            Contents::Real { scale, shift } if *scale != 0.0 => {
                Contents::Real { scale: scale * factor, shift: shift * factor }
            }
            Contents::Positive { scale } => Contents::Positive { scale: scale * factor },
            other => other.clone(),
        }
    }

    /// Sets most of a sparse operand to 0.
    fn thin(self, fill: &Contents, words: &mut [u32], random: &mut Random) {
        let real = matches!(fill, Contents::Real { scale, .. } if *scale != 0.0);
        if self == Style::Sparse && real {
            words.iter_mut().for_each(|word| *word *= u32::from(random.below(8) == 0));
        }
    }
}

/// Word `i` of a guard band or of an output before the launch: a quiet NaN whose payload is its position, so that an
/// unwritten word, a stray write and a shifted copy can be distinguished.
pub const fn nan_word(i: usize) -> u32 {
    0x7fd0_0000 | (i as u32 & 0xf_ffff)
}

/// True for a word that [`nan_word`] makes: no launch has written it, or one has computed with an unwritten word.
pub const fn is_nan_word(word: u32) -> bool {
    word & 0xfff0_0000 == nan_word(0)
}

/// A small generator (splitmix64) for inputs; independent of the kernels under test.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream named by a seed and any words: equal names give equal streams.
    pub fn new(seed: u64, name: &str, words: &[u32], slot: usize) -> Self {
        let tail = words.iter().flat_map(|w| w.to_le_bytes()).chain((slot as u64).to_le_bytes());
        let hash = name.bytes().chain(tail).fold(0xcbf2_9ce4_8422_2325 ^ seed, |h, b| {
            (h ^ b as u64).wrapping_mul(0x0000_0100_0000_01b3) // FNV-1a
        });
        Random(hash)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..n (n > 0).
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.bits() >> 32) * n as u64) >> 32) as u32
    }

    /// Uniform in (0, 1).
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        let (a, b) = (self.unit(), self.unit());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

/// The words of one binding of `len` words. `Real { scale: 0, .. }` is the constant `shift` in both passes.
pub fn words(fill: &Contents, len: usize, pass: Pass, random: &mut Random) -> Vec<u32> {
    let f = |value: f64| (value as f32).to_bits();
    (0..len)
        .map(|i| match (fill, pass) {
            (Contents::Real { scale, shift }, _) if *scale == 0.0 => f(*shift),
            (Contents::Real { .. }, Pass::Exact) => f(random.below(7) as f64 - 3.0),
            (Contents::Real { scale, shift }, _) => f(random.normal() * scale + shift),
            (Contents::Positive { .. }, Pass::Exact) => f(random.below(3) as f64 + 1.0),
            (Contents::Positive { scale }, _) => f((random.normal().abs() + 1e-3) * scale),
            (Contents::Words(table), _) if table.is_empty() => 0,
            (Contents::Words(table), _) => table[i % table.len()],
            (Contents::Below(n), _) => random.below((*n).max(1)),
            (Contents::Nan, _) => nan_word(i),
        })
        .collect()
}

/// The contents of every binding of `kernel` before a launch with parameters `params`.
///
/// # Errors
/// When the row's shape rule rejects the parameters, or its fills do not match its bindings.
pub fn operands(kernel: &dyn AnyKernel, params: &[u32], pass: Pass, seed: u64, style: Style) -> Result<Vec<Vec<u32>>> {
    let extents = kernel.extents(params).map_err(|what| Error::input(format!("{}: {what}", kernel.name())))?;
    let fills = kernel.contents(params);
    if fills.len() != extents.len() || fills.len() != kernel.bindings().len() {
        let counts = (fills.len(), extents.len(), kernel.bindings().len());
        return Err(Error::internal(format!("{}: fills, extents, bindings: {counts:?}", kernel.name())));
    }
    let slots = fills.iter().zip(&extents).enumerate();
    Ok(slots
        .map(|(slot, (fill, len))| {
            let mut random = Random::new(seed, kernel.name(), params, slot);
            let mut operand = words(&style.of(fill), *len, pass, &mut random);
            style.thin(fill, &mut operand, &mut random);
            if pass != Pass::Nan || !kernel.meets_padding(params).contains(&slot) {
                pass.sprinkle(fill, &mut operand, &mut random);
            }
            operand
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(fill: &Contents, pass: Pass, seed: u64) -> Vec<f32> {
        let words = words(fill, 2000, pass, &mut Random::new(seed, "k", &[1, 2], 0));
        words.into_iter().map(f32::from_bits).collect()
    }

    #[test]
    fn exact_fills_are_all_the_small_integers() {
        let mut real = values(&Contents::NORMAL, Pass::Exact, 1);
        real.sort_by(f32::total_cmp);
        real.dedup();
        assert_eq!(real, [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
        let mut positive = values(&Contents::Positive { scale: 5.0 }, Pass::Exact, 1);
        positive.sort_by(f32::total_cmp);
        positive.dedup();
        assert_eq!(positive, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn rounding_fills_have_their_moments_and_their_seed() {
        let fill = Contents::Real { scale: 2.0, shift: 10.0 };
        let x = values(&fill, Pass::Rounding, 3);
        let mean = x.iter().sum::<f32>() / 2000.0;
        let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 2000.0;
        assert!((mean - 10.0).abs() < 0.2 && (var - 4.0).abs() < 0.6, "mean {mean}, variance {var}");
        assert_eq!(x, values(&fill, Pass::Rounding, 3));
        assert_ne!(x, values(&fill, Pass::Rounding, 4));
        assert!(values(&Contents::Positive { scale: 0.1 }, Pass::Rounding, 3).iter().all(|v| *v > 0.0));
    }

    #[test]
    fn styles_scale_and_thin_the_fills() {
        let contents = |style, pass| {
            let params = [1, 500, 512, 512, 0, 0]; // activation: one client, 500 elements
            let kernel = crate::kernels::find("activation").unwrap();
            let mut slots = operands(kernel, &params, pass, 3, style).unwrap();
            let x: Vec<f32> = slots.swap_remove(0).into_iter().map(f32::from_bits).collect();
            x
        };
        let plain = contents(Style::Plain, Pass::Rounding);
        for (style, factor) in [(Style::Small, 1.0 / 4096.0), (Style::Large, 4096.0)] {
            let scaled: Vec<f32> = plain.iter().map(|x| x * factor).collect();
            assert_eq!(contents(style, Pass::Rounding), scaled);
            assert_eq!(contents(style, Pass::Exact), contents(Style::Plain, Pass::Exact));
        }
        for pass in [Pass::Exact, Pass::Rounding] {
            let (sparse, full) = (contents(Style::Sparse, pass), contents(Style::Plain, pass));
            let kept = sparse.iter().filter(|x| **x != 0.0).count();
            assert!((20..120).contains(&kept), "{kept} of 500");
            assert!(sparse.iter().zip(&full).all(|(s, f)| *s == 0.0 || s == f));
        }
        assert!(
            Style::ALL
                .iter()
                .all(|s| s.of(&Contents::Real { scale: 0.0, shift: 2.0 }) == Contents::Real { scale: 0.0, shift: 2.0 })
        );
    }

    #[test]
    fn nan_words_are_nan_and_encode_their_position() {
        assert!(f32::from_bits(nan_word(0)).is_nan() && f32::from_bits(nan_word(77)).is_nan());
        assert_ne!(nan_word(5), nan_word(6));
    }
}
