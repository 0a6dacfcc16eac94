//! Random problems drawn from each row's declared parameter ranges ([`Draw`]), and shrunk when they fail.

mod shrink;
mod strides;
#[cfg(test)]
mod tests;

pub use shrink::{Shrunk, shrink};

use super::Repro;
use super::fill::{Random, Style};
use crate::kernels::{AnyKernel, Draw};
use crate::{Error, Result};

/// Maximum draws for a problem; beyond that its row counts as impossible to draw.
const TRIES: usize = 2000;

/// Draws after which a problem intended to have one huge size gets moderate ones.
const HUGE_TRIES: usize = 500;

/// Primes: no vector, tile or unrolling divides them.
const PRIMES: [u32; 12] = [2, 3, 5, 7, 11, 13, 17, 31, 61, 127, 257, 521];

/// Sizes near the limits of grids: 4096 groups of a grid-stride loop, 65535 per dimension, their elements.
const HUGE: [u32; 8] = [4095, 4097, 65_534, 65_535, 65_536, 65_537, 4096 * 256 + 1, 4 * (4096 * 256 + 1)];

/// Cost limits of a problem: its reference is evaluated term by term in f64.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Floating-point operations by the row's cost.
    pub flops: f64,
    /// Words of all operands together, including the gaps between clients.
    pub words: usize,
}

impl Default for Limits {
    /// A fraction of a second per problem.
    fn default() -> Self {
        Limits { flops: 1e7, words: 14 << 20 }
    }
}

impl Limits {
    fn allow(&self, kernel: &dyn AnyKernel, words: &[u32]) -> bool {
        let cost = kernel.cost(words);
        let extent = || kernel.extents(words).map_or(usize::MAX, |e| e.iter().sum());
        cost.flops <= self.flops && cost.bytes <= 4.0 * self.words as f64 && extent() <= self.words
    }
}

/// Statistics of drawing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Number of problems drawn.
    pub problems: usize,
    /// Draws rejected by a shape rule; each was drawn again.
    pub refused: usize,
    /// Draws above the limits; each was drawn again.
    pub too_large: usize,
}

/// Problem `index` of `seed`: the same for any number of problems and selection of kernels.
///
/// # Errors
/// When no draw satisfies the row's shape rule within the limits.
pub fn problem(
    kernel: &'static dyn AnyKernel,
    seed: u64,
    index: u32,
    limits: &Limits,
    tally: &mut Tally,
) -> Result<Repro> {
    let mut random = Random::new(seed, kernel.name(), &[index], 0);
    let huge = random.below(6) == 0;
    let mut refusal = String::from("none was tried");
    for tried in 0..TRIES {
        let mut words = draw(kernel, huge && tried < HUGE_TRIES, &mut random);
        let extra: Vec<u32> = words.iter().map(|_| [0, 0, 0, 1, 2, 5][random.below(6) as usize]).collect();
        if let Err(what) = strides::settle(kernel, &mut words, &extra) {
            tally.refused += 1;
            refusal = what;
            continue;
        }
        if !limits.allow(kernel, &words) {
            tally.too_large += 1;
            refusal = format!("too large: {:?}", kernel.cost(&words));
            continue;
        }
        tally.problems += 1;
        let style = Style::ALL[[0, 0, 1, 2, 3][random.below(5) as usize]];
        return Ok(Repro { kernel, params: words, seed: random.bits() >> 40, style });
    }
    Err(Error::internal(format!("{}: no problem in {TRIES} draws; the last: {refusal}", kernel.name())))
}

/// The largest counts of a problem. All but one are moderate, otherwise almost every product of them would be too
/// large.
struct Sizes {
    ceiling: u32,
    /// The field that may be larger, and its limit; above 2000 exactly that value.
    long: (usize, u32),
}

impl Sizes {
    fn new(kernel: &dyn AnyKernel, huge: bool, random: &mut Random) -> Self {
        let fields = kernel.fields();
        let counts: Vec<usize> = (0..fields.len()).filter(|i| fields[*i].draw.is_count()).collect();
        let long = counts.get(random.below(counts.len().max(1) as u32) as usize).copied().unwrap_or(0);
        if huge {
            // Half of the time clients, the first count of a row: they alone are a grid dimension of every kernel.
            let long = if random.below(2) == 0 { counts.first().copied().unwrap_or(0) } else { long };
            return Sizes {
                ceiling: 1 + random.below(3),
                long: (long, HUGE[random.below(HUGE.len() as u32) as usize]),
            };
        }
        Sizes { ceiling: [3, 8, 20, 70][random.below(4) as usize], long: (long, 1100) }
    }

    fn count(&self, field: usize, random: &mut Random) -> u32 {
        let (long, most) = self.long;
        if field == long && most > 2000 {
            return most;
        }
        let ceiling = if field == long { most } else { self.ceiling };
        let size = match random.below(4) {
            0 => 1 + random.below(4),
            1 => PRIMES[random.below(PRIMES.len() as u32) as usize],
            2 => (16 << random.below(7)) - 1 + random.below(3),
            _ => 2f64.powf(random.unit() * 10.0) as u32,
        };
        if size <= ceiling { size } else { 1 + random.below(ceiling) }
    }
}

/// All words except those that follow from others.
fn draw(kernel: &dyn AnyKernel, huge: bool, random: &mut Random) -> Vec<u32> {
    let fields = kernel.fields();
    let sizes = Sizes::new(kernel, huge, random);
    let mut words = vec![0; fields.len()];
    for (at, field) in fields.iter().enumerate() {
        words[at] = match field.draw {
            Draw::Count => sizes.count(at, random),
            Draw::Multiple(of) => sizes.count(at, random).div_ceil(of) * of,
            Draw::Range(low, high) => low + random.below(high - low + 1),
            Draw::OneOf(list) => list[random.below(list.len() as u32) as usize],
            Draw::Between(range) => {
                let [low, high] = range(&words);
                low + random.below(high - low + 1)
            }
            Draw::Any => random.bits() as u32,
            Draw::Real(low, high) => real(low, high, random).to_bits(),
            Draw::Positive(low, high) => (low * (high / low).powf(random.unit() as f32)).clamp(low, high).to_bits(),
            Draw::Follows(_) | Draw::Stride | Draw::StrideFrom(_) => 0,
        };
    }
    words
}

fn real(low: f32, high: f32, random: &mut Random) -> f32 {
    match random.below(6) {
        0 => low,
        1 => high,
        2 => 0f32.clamp(low, high),
        _ => (low + (high - low) * random.unit() as f32).clamp(low, high),
    }
}
