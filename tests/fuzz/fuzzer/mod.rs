//! Bounded fuzzing of every decoder of foreign bytes: [`targets`] lists them with small valid inputs, [`mutate`] breaks
//! inputs, and a [`Fuzzer`] keeps those with new outcomes. `main` runs it under limits of memory and time, as
//! SECURITY.md describes.

pub mod mutate;
pub mod targets;

use fedgan::check::fill::Random;
use fedgan::{Error, Result};
use mutate::Mutator;
use std::collections::HashSet;

/// Maximum inputs kept; beyond it a new one replaces a random one.
const CORPUS: usize = 2000;

/// A decoder of foreign bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name in repros, and of its folder of regressions.
    pub name: &'static str,
    /// Small valid inputs.
    pub seeds: fn() -> Result<Vec<Vec<u8>>>,
    /// Tokens that are meaningful to it.
    pub words: &'static [&'static str],
    /// Longest input in bytes.
    pub most: usize,
    /// Corrects lengths and checksums of a broken input, so that the code behind these checks is reached.
    pub repair: Option<fn(&mut [u8])>,
    /// Decodes the input and uses the result. Input errors are as good as success; a panic or [`Error::Internal`] is a
    /// fault.
    pub run: fn(&[u8]) -> Result<()>,
}

/// An endless series of inputs for a target, which depends on the seed and on the outcomes only.
pub struct Fuzzer {
    target: Target,
    random: Random,
    mutator: Mutator,
    corpus: Vec<Vec<u8>>,
    /// Seeds, and accepted inputs with new outcomes; few, because they only differ in cost.
    valid: Vec<Vec<u8>>,
    /// Inputs of the corpus that have not been run unmodified yet.
    fresh: usize,
    seen: HashSet<(String, u32)>,
}

impl Fuzzer {
    /// Starts with the target's seeds and `more` inputs.
    ///
    /// # Errors
    /// If the seeds cannot be created (a bug).
    pub fn new(target: Target, seed: u64, more: Vec<Vec<u8>>) -> Result<Fuzzer> {
        let valid = (target.seeds)()?;
        if valid.is_empty() {
            return Err(Error::internal(format!("fuzz target `{}` has no seeds", target.name)));
        }
        let corpus: Vec<Vec<u8>> = valid.iter().cloned().chain(more).collect();
        let random = Random::new(seed, target.name, &[], 0);
        let mutator = Mutator { words: target.words, most: target.most };
        Ok(Fuzzer { target, random, mutator, fresh: corpus.len(), corpus, valid, seen: HashSet::new() })
    }

    /// The next input: first the corpus unmodified, then mutated copies.
    pub fn next_input(&mut self) -> Vec<u8> {
        if let Some(left) = self.fresh.checked_sub(1) {
            self.fresh = left;
            return self.corpus[left].clone();
        }
        // Half of them from valid inputs: a copy of a broken copy usually fails the first check.
        let from = if self.random.below(2) == 0 { &self.valid } else { &self.corpus };
        let mut input = from[self.random.below(from.len() as u32) as usize].clone();
        self.mutator.mutate(&mut self.random, &mut input, &self.corpus);
        if let Some(repair) = self.target.repair.filter(|_| self.random.below(4) > 0) {
            repair(&mut input);
        }
        input
    }

    /// Keeps `input` if its outcome is new: another answer, or another order of magnitude of `cost` (allocations).
    pub fn learn(&mut self, input: Vec<u8>, result: &Result<()>, cost: u64) {
        if self.seen.insert((outcome(result), (cost + 1).ilog2())) {
            if result.is_ok() {
                self.valid.push(input.clone());
            }
            if self.corpus.len() < CORPUS {
                self.corpus.push(input);
            } else {
                let at = self.random.below(CORPUS as u32) as usize;
                self.corpus[at] = input;
            }
        }
    }

    /// Inputs kept.
    pub fn corpus(&self) -> usize {
        self.corpus.len()
    }

    /// Different outcomes.
    pub fn outcomes(&self) -> usize {
        self.seen.len()
    }
}

/// An answer without quoted parts: numbers, and text in quotes or brackets of any kind, come from the input.
fn outcome(result: &Result<()>) -> String {
    let Err(error) = result else { return "ok".into() };
    let (mut out, mut quote) = (String::new(), None);
    let text = error.to_string();
    // TOML errors repeat lines of the input after bars.
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(" | ") && !line.ends_with(" |")).collect();
    for c in lines.join(" ").chars().take(400) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '`' | '"' | '\'') => quote = Some(c),
            (None, '(') => quote = Some(')'),
            (None, '[') => quote = Some(']'),
            (None, '{') => quote = Some('}'),
            (None, c) if c.is_ascii_alphabetic() || c == ' ' => out.push(c),
            _ => {}
        }
    }
    // The rest of long messages lists the allowed values, or repeats the input.
    out.truncate(60);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fuzzer(seed: u64) -> Fuzzer {
        Fuzzer::new(targets::find("summary").unwrap(), seed, Vec::new()).unwrap()
    }

    #[test]
    fn inputs_depend_on_the_seed() {
        let series = |seed| {
            let mut fuzzer = fuzzer(seed);
            let inputs: Vec<Vec<u8>> = (0..200).map(|_| fuzzer.next_input()).collect();
            inputs
        };
        assert_eq!(series(1), series(1));
        assert_ne!(series(1), series(2));
    }

    #[test]
    fn new_outcomes_are_kept_once() {
        let mut fuzzer = fuzzer(1);
        let before = fuzzer.corpus();
        let error = |text: &str| Err(Error::input(text));
        fuzzer.learn(vec![1], &error("file: 17 tensors, `a`"), 3);
        fuzzer.learn(vec![2], &error("file: 4 tensors, `b`"), 3);
        assert_eq!((fuzzer.corpus(), fuzzer.outcomes()), (before + 1, 1));
        fuzzer.learn(vec![3], &error("file: too long"), 3);
        fuzzer.learn(vec![4], &Ok(()), 3);
        fuzzer.learn(vec![5], &Ok(()), 3000);
        assert_eq!((fuzzer.corpus(), fuzzer.outcomes()), (before + 4, 4));
    }

    #[test]
    fn every_seed_is_valid() {
        for target in targets::all() {
            let seeds = (target.seeds)().unwrap();
            assert!(!seeds.is_empty(), "{}", target.name);
            for (i, seed) in seeds.iter().enumerate() {
                assert!(seed.len() <= target.most, "{}: seed {i} has {} bytes", target.name, seed.len());
                if let Err(error) = (target.run)(seed) {
                    panic!("{}: seed {i}: {error}", target.name);
                }
            }
        }
    }
}
