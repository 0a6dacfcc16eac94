//! Broken copies of inputs.

use fedgan::check::fill::Random;

/// Bytes at the edges of ranges, and those that structure texts.
const BYTES: &[u8] = b"\x00\x01\x7f\x80\xff0-9.eE\"'[]{}(),:=\n\\ ";
/// Numbers as text that a decoder may not expect.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "0.5",
    "1e9",
    "1e308",
    "1e999",
    "-1e999",
    "5e-324",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "00",
    "0x10",
    "nan",
    "inf",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
];
/// Opening and closing of a level of nesting.
const LEVELS: &[(&str, &str)] = &[
    ("[", "]"),
    ("{\"a\":", "}"),
    ("(", ")"),
    ("{a=", "}"),
    ("a.", ""),
    ("[[", "]]"),
    ("\"", "\""),
    ("{", "}"),
    ("<", ">"),
];

/// Options of the mutations.
#[derive(Clone, Copy, Debug)]
pub struct Mutator {
    /// Tokens to insert.
    pub words: &'static [&'static str],
    /// Longest result in bytes.
    pub most: usize,
}

impl Mutator {
    /// Mutates `input` in one to eight ways, usually few; it may be spliced with inputs from `corpus`.
    pub fn mutate(&self, random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let steps = 1 << random.below(8).saturating_sub(4);
        for _ in 0..steps {
            self.step(random, input, corpus);
            input.truncate(self.most);
        }
    }

    fn step(&self, random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let length = input.len();
        if length == 0 {
            input.extend(self.word(random));
            return;
        }
        let at = below(random, length);
        match random.below(16) {
            0 | 1 => input[at] ^= 1 << random.below(8),
            2 => input[at] = random.bits() as u8,
            3 => input[at] = BYTES[below(random, BYTES.len())],
            4 | 5 => integer(random, input, at),
            6 => input.truncate(at),
            7 => drop(input.drain(at..at + below(random, (length - at).min(64)))),
            8 => {
                let copy = input[at..at + below(random, (length - at).min(64))].to_vec();
                insert(input, below(random, length), &copy);
            }
            9 => insert(input, at, &self.word(random)),
            10 => {
                let word = self.word(random);
                let end = (at + word.len()).min(length);
                input[at..end].copy_from_slice(&word[..end - at]);
            }
            11 => {
                let other = &corpus[below(random, corpus.len())];
                let from = below(random, other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            12 => {
                let other = &corpus[below(random, corpus.len())];
                let from = below(random, other.len() + 1);
                let piece = other[from..from + below(random, (other.len() - from).min(128) + 1)].to_vec();
                insert(input, at, &piece);
            }
            13 | 14 => number(random, input, at),
            _ => nest(random, input, at),
        }
    }

    fn word(&self, random: &mut Random) -> Vec<u8> {
        match self.words {
            [] => vec![random.bits() as u8],
            words => words[below(random, words.len())].as_bytes().to_vec(),
        }
    }
}

fn below(random: &mut Random, n: usize) -> usize {
    if n == 0 { 0 } else { random.below(n as u32) as usize }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

/// Edits a binary integer of 1 to 8 bytes, of either byte order, at `at`.
fn integer(random: &mut Random, input: &mut [u8], at: usize) {
    let width = (1usize << random.below(4)).min(input.len() - at);
    let big = random.below(2) == 0;
    let field = &mut input[at..at + width];
    if big {
        field.reverse();
    }
    let old = field.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let new = match random.below(8) {
        0 => 0,
        1 => u64::MAX,
        2 => u64::MAX >> 1,
        3 => 1 << random.below(64),
        4 => old.wrapping_add(u64::from(random.below(16))),
        5 => old.wrapping_sub(u64::from(random.below(16))),
        6 => old.wrapping_mul(2),
        _ => random.bits() >> random.below(64),
    };
    field.copy_from_slice(&new.to_le_bytes()[..width]);
    if big {
        field.reverse();
    }
}

/// Replaces the decimal number at or after `at`.
fn number(random: &mut Random, input: &mut Vec<u8>, at: usize) {
    let Some(start) = input[at..].iter().position(u8::is_ascii_digit).map(|i| at + i) else { return };
    let digits = input[start..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let text = NUMBERS[below(random, NUMBERS.len())];
    input.splice(start..start + digits, text.bytes());
}

/// Adds levels of nesting around a piece; sometimes very many.
fn nest(random: &mut Random, input: &mut Vec<u8>, at: usize) {
    let (open, close) = LEVELS[below(random, LEVELS.len())];
    let levels = if random.below(8) == 0 { 1 << random.below(14) } else { 1 + below(random, 40) };
    let end = at + below(random, (input.len() - at).min(32) + 1);
    let closed = if random.below(4) == 0 { 0 } else { levels };
    insert(input, end, close.repeat(closed).as_bytes());
    insert(input, at, open.repeat(levels).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_change_and_stay_short() {
        let mutator = Mutator { words: &["token"], most: 300 };
        let mut random = Random::new(1, "mutate", &[], 0);
        let corpus = vec![b"{\"a\": 12}".to_vec(), vec![0; 40]];
        let (mut changed, mut lengths) = (0, std::collections::BTreeSet::new());
        let all: Vec<Vec<u8>> = (0..5000)
            .map(|i| {
                let mut input = corpus[i % 2].clone();
                mutator.mutate(&mut random, &mut input, &corpus);
                assert!(input.len() <= 300);
                changed += usize::from(input != corpus[i % 2]);
                lengths.insert(input.len());
                input
            })
            .collect();
        assert!(changed > 4000 && lengths.len() > 100, "{changed} changed, {} lengths", lengths.len());
        for needle in ["token", "[[[[", "18446744073709551615", "1e999"] {
            assert!(all.iter().any(|i| i.windows(needle.len()).any(|w| w == needle.as_bytes())), "{needle}");
        }
    }
}
