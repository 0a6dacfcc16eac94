//! The parameters that follow from the drawn ones: derived words and client strides.

use crate::kernels::{AnyKernel, Draw};

/// Client strides are multiples of this many words.
const UNIT: u32 = 64;

/// Sets the dependent words: clamps dependent ranges, computes derived words, and sets client strides to the minimum
/// that the row accepts plus `extra[field]` units.
///
/// # Errors
/// The error of the row's shape rule.
pub(super) fn settle(kernel: &dyn AnyKernel, words: &mut [u32], extra: &[u32]) -> Result<(), String> {
    let fields = kernel.fields();
    for (at, field) in fields.iter().enumerate() {
        if let Draw::Between(range) = field.draw {
            let [low, high] = range(words);
            words[at] = words[at].clamp(low, high);
        }
    }
    for (at, field) in fields.iter().enumerate() {
        if let Draw::Follows(rule) = field.draw {
            words[at] = rule(words);
        }
    }
    let strides: Vec<usize> = (0..fields.len()).filter(|at| fields[*at].draw.is_stride()).collect();
    widest(kernel, words, &strides)?;
    for at in &strides {
        words[*at] = least(kernel, words, *at);
    }
    for at in strides {
        words[at] += UNIT * extra[at];
    }
    kernel.extents(words).map(drop)
}

/// The units by which each stride exceeds the minimum.
pub(super) fn extra(kernel: &dyn AnyKernel, words: &[u32]) -> Vec<u32> {
    let mut settled = words.to_vec();
    let none = vec![0; words.len()];
    if settle(kernel, &mut settled, &none).is_err() {
        return none;
    }
    words.iter().zip(&settled).map(|(have, least)| have.saturating_sub(*least) / UNIT).collect()
}

/// Sets all strides to the largest power of two that the row accepts: an error that remains is not due to a stride.
fn widest(kernel: &dyn AnyKernel, words: &mut [u32], strides: &[usize]) -> Result<(), String> {
    let mut refusal = Ok(());
    for bit in (UNIT.trailing_zeros()..30).rev() {
        strides.iter().for_each(|at| words[*at] = 1 << bit);
        match kernel.extents(words) {
            Ok(_) => return Ok(()),
            Err(what) => refusal = Err(what),
        }
    }
    refusal
}

/// The minimum stride of field `at` that the row accepts while the other strides are wide.
fn least(kernel: &dyn AnyKernel, words: &[u32], at: usize) -> u32 {
    let mut words = words.to_vec();
    let (mut low, mut high) = (0, words[at] / UNIT);
    while low < high {
        let middle = (low + high) / 2;
        words[at] = middle * UNIT;
        match kernel.extents(&words) {
            Ok(_) => high = middle,
            Err(_) => low = middle + 1,
        }
    }
    match kernel.fields()[at].draw {
        Draw::StrideFrom(rule) => (high * UNIT).max(rule(&words).next_multiple_of(UNIT)),
        _ => high * UNIT,
    }
}
