//! The entries of attacks on updates.

use super::{Equivalent, ONE_VALUE, Why};
use crate::check::mutant::Operator;

const NO_CLIENT: &str = "clients beyond the last are read as 0, hence not taken";

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
    Equivalent {
        files: &["attack/benign_moments.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var c = 0u; c < p.clients; c++) { => for (var c = 0u; c <= p.clients; c++) { #2",
        why: Why::Outside,
        reason: NO_CLIENT,
    },
    Equivalent {
        files: &["attack/beyond_extreme.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var c = 0u; c < p.clients; c++) { => for (var c = 0u; c <= p.clients; c++) {",
        why: Why::Outside,
        reason: NO_CLIENT,
    },
    Equivalent {
        files: &["attack/beyond_extreme.wgsl"],
        operator: Operator::Border,
        change: "let outward = select(e > 0.0, e < 0.0, down); => let outward = select(e > 0.0, e <= 0.0, down);",
        why: Why::Same,
        reason: "at 0 both steps are 0",
    },
    Equivalent {
        files: &["attack/rank_digits.wgsl"],
        operator: Operator::Constant,
        change: "let wanted = select(found[1], found[0], p.digit < 4u); => let wanted = select(found[1], found[0], p.digit < (4u + 1u));",
        why: Why::Same,
        reason: "before the first digit of the second word nothing of it is compared",
    },
    Equivalent {
        files: &["attack/update_along.wgsl"],
        operator: Operator::GuardDropped,
        change: "if lane == 0u { => if true {",
        why: Why::Same,
        reason: ONE_VALUE,
    },
    Equivalent {
        files: &["attack/update_along.wgsl"],
        operator: Operator::GuardNegated,
        change: "if lane == 0u { => if !(lane == 0u) {",
        why: Why::Same,
        reason: ONE_VALUE,
    },
    Equivalent {
        files: &["attack/update_along.wgsl"],
        operator: Operator::Constant,
        change: "if lane == 0u { => if lane == (0u + 1u) {",
        why: Why::Same,
        reason: ONE_VALUE,
    },
];
