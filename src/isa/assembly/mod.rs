//! What the machine code of an AMD GPU says: the loop that does the work, its multiply-adds, and what stands between them.

mod text;

#[cfg(test)]
mod tests;

use serde::Serialize;
use std::collections::BTreeSet;
use text::{Instruction, Kind, Text};

/// Counts over the loop with the most multiply-adds, or over the whole shader if it has no loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Body {
    /// False if the shader has no loop.
    pub looped: bool,
    /// Instructions.
    pub instructions: usize,
    /// f32 multiply-adds in one instruction.
    pub fma: usize,
    /// f32 additions of a product that an instruction of its own computed.
    pub unfused: usize,
    /// Integer multiplications at a quarter of the rate.
    pub slow: usize,
    /// Fewest multiply-adds between a global load and the wait for it; `None` without a load.
    pub overlap: Option<usize>,
    /// Multiply-adds over issue slots of the vector unit: slow instructions take four. Of the two sides of an `if` with `else` a
    /// subgroup is taken to run one.
    pub share: f64,
}

/// Measures an assembly text.
pub fn measure(assembly: &str) -> Body {
    let text = Text::parse(assembly);
    let loops = text.loops();
    // Instructions of a nested loop run more often than those around it: each loop competes with its own.
    let own = |range: &(usize, usize)| {
        let nested = |at: usize| loops.iter().any(|l| l != range && range.0 <= l.0 && l.1 <= range.1 && within(*l, at));
        let own: Vec<&Instruction> =
            (range.0..=range.1).filter(|at| !nested(*at)).map(|at| &text.instructions[at]).collect();
        let count = |kinds: &[Kind]| own.iter().filter(|i| kinds.contains(&i.kind)).count();
        (count(&[Kind::Fma, Kind::Multiply]), count(&[Kind::Load, Kind::Store]), count(&[Kind::Shared]), own.len())
    };
    let all = (0, text.instructions.len().saturating_sub(1));
    match loops.iter().max_by_key(|range| own(range)) {
        Some(range) => body(&text, *range, true),
        None if text.instructions.is_empty() => Body::default(),
        None => body(&text, all, false),
    }
}

fn within(range: (usize, usize), at: usize) -> bool {
    (range.0..=range.1).contains(&at)
}

fn body(text: &Text, (first, last): (usize, usize), looped: bool) -> Body {
    let inside = &text.instructions[first..=last];
    let count = |kind: Kind| inside.iter().filter(|i| i.kind == kind).count();
    let weights = text.weights();
    let slots: f64 = (first..=last).map(|at| weights[at] * text.instructions[at].slots()).sum();
    let fused: f64 = (first..=last).filter(|at| text.instructions[*at].kind == Kind::Fma).map(|at| weights[at]).sum();
    Body {
        looped,
        instructions: inside.len(),
        fma: count(Kind::Fma),
        unfused: unfused(inside),
        slow: count(Kind::SlowMultiply),
        overlap: overlap(inside, looped),
        share: if fused > 0.0 { fused / slots } else { 0.0 },
    }
}

/// Additions that read a register which a multiplication wrote last.
fn unfused(inside: &[Instruction]) -> usize {
    let (mut products, mut found) = (BTreeSet::new(), 0);
    for instruction in inside {
        if instruction.kind == Kind::Add && instruction.reads().any(|register| products.contains(&register)) {
            found += 1;
        }
        for register in instruction.writes() {
            match instruction.kind {
                Kind::Multiply => products.insert(register),
                _ => products.remove(&register),
            };
        }
    }
    found
}

/// For each load the multiply-adds until the first wait that covers it: `vmcnt(n)` waits until at most n accesses are under way, so
/// it covers a load that n or more follow. A load at the end of a loop is waited for at its beginning.
fn overlap(inside: &[Instruction], looped: bool) -> Option<usize> {
    let of = |load: usize| {
        let around = if looped { &inside[..load] } else { &[] };
        let (mut later, mut fma) = (0, 0);
        for instruction in inside[load + 1..].iter().chain(around) {
            match instruction.kind {
                Kind::Fma => fma += 1,
                Kind::Load | Kind::Store => later += 1,
                Kind::Wait(most) if most <= later => break,
                _ => {}
            }
        }
        fma
    };
    (0..inside.len()).filter(|at| inside[*at].kind == Kind::Load).map(of).min()
}
