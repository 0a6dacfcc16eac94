//! The entries of attacks on updates.

use super::{Equivalent, Why};
use crate::check::mutant::Operator;

pub(super) const ENTRIES: &[Equivalent] = &[
    Equivalent {
        files: &["attack/beyond_extreme.wgsl"],
        operator: Operator::Border,
        change: "return select(size, -size, bitcast<i32>(v) < 0); => return select(size, -size, bitcast<i32>(v) <= 0);",
        why: Why::Same,
        reason: "the number whose bits are 0 has the place 0, of either sign",
    },
    Equivalent {
        files: &["attack/rank_digits.wgsl"],
        operator: Operator::IndexOff,
        change: "atomicStore(&counts[lane], 0u); => atomicStore(&counts[lane + 1u], 0u);",
        why: Why::Outside,
        reason: "software adapters get zeroed workgroup memory, hardware does not; the last lane's index is moved to the last counter",
    },
    Equivalent {
        files: &["attack/rank_choose.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var s = 0u; s < p.slices; s++) { => for (var s = 0u; s <= p.slices; s++) {",
        why: Why::Outside,
        reason: "the counts read too much lie outside their operand: 0",
    },
];
