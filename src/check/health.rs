//! Statistical health of results: their errors relative to those of independent roundings.

/// Statistical health: the root mean square over elements of err / (u sqrt(n) sum|terms|), with n roundings per sum. As
/// a bound is about n u sum|terms|, that is err / bound times sqrt(n). With independent roundings it stays below 1 for
/// sums of any length; errors of one sign, or a sum in a narrower type, make it grow with sqrt(n).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    squares: f64,
    elements: f64,
}

impl Health {
    /// Adds an element that uses `of_bound` (1: all) of a bound for `roundings` roundings.
    pub(super) fn add(&mut self, of_bound: f64, roundings: u32) {
        self.squares += of_bound * of_bound * f64::from(roundings);
        self.elements += 1.0;
    }

    /// The combined value.
    pub fn merge(&mut self, other: Health) {
        self.squares += other.squares;
        self.elements += other.elements;
    }

    /// The value; `None` if every element had to be exact.
    pub fn value(&self) -> Option<f64> {
        (self.elements > 0.0).then(|| (self.squares / self.elements).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fill::Random;
    use crate::kernels::{U, gamma};

    /// Sums of `n` random terms in f32, plain and with every partial sum rounded towards zero to 20 bits.
    fn sums(n: usize, narrow: bool) -> Health {
        let mut health = Health::default();
        let mut random = Random::new(4, "health", &[], n);
        for _ in 0..200 {
            let terms: Vec<f32> = (0..n).map(|_| random.unit() as f32).collect();
            let exact: f64 = terms.iter().map(|t| f64::from(*t)).sum();
            let mut sum = 0f32;
            for term in terms {
                sum += term;
                if narrow {
                    sum = f32::from_bits(sum.to_bits() & !7);
                }
            }
            health.add((f64::from(sum) - exact).abs() / (gamma(n) * exact), n as u32);
        }
        health
    }

    #[test]
    fn long_sums_stay_healthy_and_a_narrow_accumulator_does_not() {
        assert_eq!(Health::default().value(), None);
        for n in [16, 256, 4096] {
            let (plain, narrow) = (sums(n, false).value().unwrap(), sums(n, true).value().unwrap());
            assert!((0.01..1.0).contains(&plain), "{n}: {plain}");
            assert!(narrow > 0.5 * (n as f64).sqrt(), "{n}: {narrow}");
        }
        let mut both = sums(16, false);
        both.merge(sums(16, false));
        assert!((both.value().unwrap() - sums(16, false).value().unwrap()).abs() < 1e-12);
        assert!(gamma(1) > U);
    }
}
