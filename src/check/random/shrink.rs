//! Shrinks a failing problem.

use super::strides::{extra, settle};
use crate::Result;
use crate::check::fill::Style;
use crate::check::{CaseResult, Checker, Options, Repro};
use crate::kernels::Draw;

/// A failing problem and a smaller one that also fails.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Shrunk {
    /// The problem as drawn.
    pub original: String,
    /// The small problem's result: a failure.
    pub result: CaseResult,
    /// Problems tried during shrinking.
    pub attempts: usize,
}

/// Shrinks `failing`: plain contents, then each parameter bisected towards its minimum, repeatedly until nothing gets
/// smaller or `attempts` problems have been tried. `None` if `failing` does not fail.
///
/// # Errors
/// If `failing` itself cannot be prepared.
pub fn shrink(checker: &mut Checker, failing: &Repro, attempts: usize) -> Result<Option<Shrunk>> {
    let result = checker.case(failing, Options::default())?;
    if result.passed() {
        return Ok(None);
    }
    let mut search = Search {
        checker,
        extra: extra(failing.kernel, &failing.params),
        best: failing.clone(),
        result,
        tried: 0,
        attempts,
    };
    search.contents();
    while search.round() {}
    Ok(Some(Shrunk { original: failing.to_string(), result: search.result, attempts: search.tried }))
}

struct Search<'c, 'e> {
    checker: &'c mut Checker<'e>,
    best: Repro,
    result: CaseResult,
    /// Units of each client stride above the minimum.
    extra: Vec<u32>,
    tried: usize,
    attempts: usize,
}

impl Search<'_, '_> {
    /// Adopts `candidate` if it fails.
    fn fails(&mut self, candidate: Repro) -> bool {
        if self.tried >= self.attempts {
            return false;
        }
        self.tried += 1;
        // A problem that the reference cannot evaluate is not a smaller problem.
        match self.checker.case(&candidate, Options::default()) {
            Ok(result) if !result.passed() => {
                (self.best, self.result) = (candidate, result);
                true
            }
            _ => false,
        }
    }

    /// Tries the best problem with word `at` replaced and all dependent words recomputed.
    fn with(&mut self, at: usize, word: u32) -> bool {
        let mut candidate = self.best.clone();
        candidate.params[at] = word;
        settle(candidate.kernel, &mut candidate.params, &self.extra).is_ok() && self.fails(candidate)
    }

    /// Seed 0, plain fills, and minimum strides.
    fn contents(&mut self) {
        let plain = [(Style::Plain, 0), (Style::Plain, self.best.seed), (self.best.style, 0)];
        for (style, seed) in plain {
            let candidate = Repro { style, seed, ..self.best.clone() };
            if (style, seed) != (self.best.style, self.best.seed) && self.fails(candidate) {
                break;
            }
        }
        let mut tight = self.best.clone();
        let none = vec![0; self.extra.len()];
        if settle(tight.kernel, &mut tight.params, &none).is_ok()
            && tight.params != self.best.params
            && self.fails(tight)
        {
            self.extra = none;
        }
    }

    /// Every field once; true if any became smaller.
    fn round(&mut self) -> bool {
        let before = self.best.params.clone();
        for (at, field) in self.best.kernel.fields().iter().enumerate() {
            match field.draw {
                Draw::Count => self.lower(at, 1, 1),
                Draw::Multiple(of) => self.lower(at, of, of),
                Draw::Range(low, _) => self.lower(at, low, 1),
                Draw::Between(range) => self.lower(at, range(&self.best.params)[0], 1),
                Draw::Any => self.lower(at, 0, 1),
                Draw::OneOf(list) => {
                    let now = self.best.params[at];
                    let _ = list.iter().take_while(|word| **word != now).any(|word| self.with(at, *word));
                }
                Draw::Real(..) | Draw::Positive(..) => self.simplify(at),
                Draw::Follows(_) | Draw::Stride | Draw::StrideFrom(_) => {}
            }
        }
        self.best.params != before && self.tried < self.attempts
    }

    /// Bisects word `at` between `least`, if that passes, and the failing value, in steps of `unit`.
    fn lower(&mut self, at: usize, least: u32, unit: u32) {
        if self.best.params[at] <= least || self.with(at, least) {
            return;
        }
        let mut passing = least;
        while self.best.params[at] - passing > unit && self.tried < self.attempts {
            let middle = passing + (self.best.params[at] - passing) / 2 / unit * unit;
            if !self.with(at, middle) {
                passing = middle;
            }
        }
    }

    /// The simplest value of a float in its range.
    fn simplify(&mut self, at: usize) {
        let plain = match self.best.kernel.fields()[at].draw {
            Draw::Real(low, high) => [1.0, 0.0].map(|plain: f32| plain.clamp(low, high)),
            Draw::Positive(low, high) => [1.0, 0.01].map(|plain: f32| plain.clamp(low, high)),
            _ => return,
        };
        if plain.iter().all(|value| value.to_bits() != self.best.params[at]) {
            let _ = plain.into_iter().any(|value| self.with(at, value.to_bits()));
        }
    }
}
