//! Mutants that no case can tell from the original, each with the reason.

mod attack;
mod conv;
mod fed;

use super::{Mutant, Operator};

/// Why a mutant survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It computes the same, or something inside the row's bound, on every device.
    Same,
    /// It has a data race between lanes, which a software adapter hides: it runs the lanes of a workgroup in order from
    /// barrier to barrier. Another device may kill it.
    LaneRace,
    /// It has a data race between workgroups: it survives where they happen to run in order.
    GroupRace,
    /// It reads or writes outside an operand. It survives where the device reads 0 there and drops the write (lavapipe);
    /// a device that moves the index to the last element instead (SwiftShader) kills it. WGSL allows both.
    Outside,
}

/// A mutant that the cases need not kill.
#[derive(Clone, Copy, Debug)]
pub struct Equivalent {
    /// The shaders' paths under `shaders/`.
    pub files: &'static [&'static str],
    /// The fault.
    pub operator: Operator,
    /// The change, as [`Mutant::change`] has it.
    pub change: &'static str,
    /// The kind of reason.
    pub why: Why,
    /// The reason.
    pub reason: &'static str,
}

/// The file with the reasons, in a checkout.
pub const REASONS: &str = "src/check/mutant/equivalent/mod.rs";

/// The entry for `mutant` in [`EQUIVALENT`].
pub(super) fn find(file: &str, mutant: &Mutant) -> Option<&'static Equivalent> {
    let mut list = EQUIVALENT.iter();
    list.find(|e| e.files.contains(&file) && e.operator == mutant.operator && e.change == mutant.change)
}

/// Sums by a tree of one value per client or image, and `more` reductions by a tree.
macro_rules! sums_and {
    ($($more:literal),*) => {
        &[
            "util/reduce_sum.wgsl",
            "util/difference_norm.wgsl",
            "util/difference_dot.wgsl",
            "nn/bce_with_logits.wgsl",
            "nn/image_square_sum.wgsl",
            "nn/gradient_penalty.wgsl",
            "nn/wasserstein_loss.wgsl",
            "util/max_abs.wgsl",
            "fed/update_norm.wgsl",
            "fed/norm_join.wgsl",
            $($more,)*
        ]
    };
}

/// Sums by a tree of one value per client or image.
const SUMS: &[&str] = sums_and!();
/// All reductions by a tree: those of `lib/tree.wgsl` and `lib/channel_tree_pair.wgsl`, and `max_abs`.
const TREES: &[&str] = sums_and!(
    "attack/update_along.wgsl",
    "nn/conv2d_narrow.wgsl",
    "nn/batch_norm_stats.wgsl",
    "nn/instance_norm_stats.wgsl",
    "nn/batch_norm_backward_reduce.wgsl",
    "nn/instance_norm_backward_reduce.wgsl",
    "nn/instance_norm_second_reduce.wgsl",
    "nn/channel_sum.wgsl",
    "fed/pair_distance.wgsl",
    "fed/pair_dot.wgsl"
);
const FIRST_MEAN: &str = "the first mean is only a shift, which the second pass corrects";
/// Reductions by channel.
const REDUCES: &[&str] = &[
    "nn/batch_norm_backward_reduce.wgsl",
    "nn/instance_norm_backward_reduce.wgsl",
    "nn/instance_norm_second_reduce.wgsl",
    "nn/channel_sum.wgsl",
];

const TREE: &str =
    "lanes from `width` on change places that lower lanes read in the same step; in lane order they come later";
const ONE_VALUE: &str = "all lanes that store store the same sum in the same place";
const BEYOND: &str = "lanes beyond the last channel sum what is not stored";

/// All known ones. The tests fail when an entry is no longer a survivor, but for races and accesses outside operands, which the device decides.
pub static EQUIVALENT: &[Equivalent] = &{
    const LISTS: [&[Equivalent]; 4] = [COMMON, conv::ENTRIES, fed::ENTRIES, attack::ENTRIES];
    let mut all = [COMMON[0]; COMMON.len() + conv::ENTRIES.len() + fed::ENTRIES.len() + attack::ENTRIES.len()];
    let (mut i, mut list, mut at) = (0, 0, 0);
    while i < all.len() {
        if at == LISTS[list].len() {
            (list, at) = (list + 1, 0);
        }
        all[i] = LISTS[list][at];
        (i, at) = (i + 1, at + 1);
    }
    all
};

/// Those of all kernels but the convolutions and attacks on updates.
const COMMON: &[Equivalent] = &[
    Equivalent {
        files: &["nn/batch_norm_apply.wgsl"],
        operator: Operator::Border,
        change: "y[at] = kept(v, select(low, v, v > E())); => y[at] = kept(v, select(low, v, v >= E()));",
        why: Why::Same,
        reason: "at 0 both sides are 0, as slopes are finite",
    },
    Equivalent {
        files: TREES,
        operator: Operator::GuardDropped,
        change: "if lane < width { => if true {",
        why: Why::LaneRace,
        reason: TREE,
    },
    Equivalent {
        files: TREES,
        operator: Operator::Border,
        change: "if lane < width { => if lane <= width {",
        why: Why::LaneRace,
        reason: TREE,
    },
    Equivalent {
        files: SUMS,
        operator: Operator::GuardDropped,
        change: "if lane == 0u { => if true {",
        why: Why::Same,
        reason: ONE_VALUE,
    },
    Equivalent {
        files: SUMS,
        operator: Operator::GuardNegated,
        change: "if lane == 0u { => if !(lane == 0u) {",
        why: Why::Same,
        reason: ONE_VALUE,
    },
    Equivalent {
        files: SUMS,
        operator: Operator::Constant,
        change: "if lane == 0u { => if lane == (0u + 1u) {",
        why: Why::Same,
        reason: ONE_VALUE,
    },
    Equivalent {
        files: REDUCES,
        operator: Operator::GuardDropped,
        change: "if channel < vectors { => if true {",
        why: Why::Same,
        reason: BEYOND,
    },
    Equivalent {
        files: REDUCES,
        operator: Operator::Border,
        change: "if channel < vectors { => if channel <= vectors {",
        why: Why::Same,
        reason: BEYOND,
    },
    Equivalent {
        files: &["nn/batch_norm_stats.wgsl"],
        operator: Operator::Sign,
        change: "let raw = part1[lane] / n - shift * shift; => let raw = part1[lane] / n + shift * shift;",
        why: Why::Same,
        reason: "shift is the first mean's rounding error; its square is inside the bound, which takes any order of sums",
    },
    Equivalent {
        files: &["nn/batch_norm_stats.wgsl"],
        operator: Operator::Constant,
        change: "let end = select(0u, p.rows, channel < vectors); // lanes beyond the last channel sum nothing => let end = select((0u + 1u), p.rows, channel < vectors); // lanes beyond the last channel sum nothing",
        why: Why::Same,
        reason: BEYOND,
    },
    Equivalent {
        files: &["nn/batch_norm_stats.wgsl"],
        operator: Operator::LoopShort,
        change: "for (; row < end; row += LR) { => for (; row + 1u < end; row += LR) {",
        why: Why::Same,
        reason: FIRST_MEAN,
    },
    Equivalent {
        files: &["nn/batch_norm_stats.wgsl"],
        operator: Operator::LoopLong,
        change: "for (; row + 3u * LR < end; row += 4u * LR) { // four loads in flight, added in the order of the rows => for (; row + 3u * LR <= end; row += 4u * LR) { // four loads in flight, added in the order of the rows",
        why: Why::Same,
        reason: FIRST_MEAN,
    },
    Equivalent {
        files: &["nn/instance_norm_stats.wgsl"],
        operator: Operator::Constant,
        change: "let end = select(0u, p.rows, channel < vectors); // lanes beyond the last channel sum nothing => let end = select((0u + 1u), p.rows, channel < vectors); // lanes beyond the last channel sum nothing",
        why: Why::Same,
        reason: BEYOND,
    },
    Equivalent {
        files: &["nn/instance_norm_stats.wgsl"],
        operator: Operator::Border,
        change: "let end = select(0u, p.rows, channel < vectors); // lanes beyond the last channel sum nothing => let end = select(0u, p.rows, channel <= vectors); // lanes beyond the last channel sum nothing",
        why: Why::Same,
        reason: BEYOND,
    },
    Equivalent {
        files: &["nn/gradient_penalty_seed.wgsl"],
        operator: Operator::Border,
        change: "return select(y, v, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u); => return select(y, v, (bitcast<u32>(v) & 0x7fffffffu) >= 0x7f800000u);",
        why: Why::Same,
        reason: "with an infinite square neither form gives a finite share",
    },
    Equivalent {
        files: &["nn/activation.wgsl"],
        operator: Operator::Border,
        change: "case 1u: { return select(p.slope * v, v, v > E(0.0)); } => case 1u: { return select(p.slope * v, v, v >= E(0.0)); }",
        why: Why::Same,
        reason: "at 0 both sides are 0, as slopes are finite",
    },
    Equivalent {
        files: &["nn/activation.wgsl"],
        operator: Operator::Border,
        change: "let t = select((1.0 - e) / (1.0 + e), a + a * (z * q), a < E(0.5)); => let t = select((1.0 - e) / (1.0 + e), a + a * (z * q), a <= E(0.5));",
        why: Why::Same,
        reason: "both forms hold at 1/2, within the bound",
    },
    Equivalent {
        files: &["nn/activation.wgsl"],
        operator: Operator::Border,
        change: "return select(E(1.0), e, v < E(0.0)) / (1.0 + e); => return select(E(1.0), e, v <= E(0.0)) / (1.0 + e);",
        why: Why::Same,
        reason: "at 0 both arms are 1",
    },
    Equivalent {
        files: &["nn/activation.wgsl"],
        operator: Operator::Constant,
        change: "let a = min(abs(v), E(15.0)); => let a = min(abs(v), E((15.0 * 1.01)));",
        why: Why::Same,
        reason: "tanh is 1 in f32 from 9.02 on",
    },
    Equivalent {
        files: &["nn/activation.wgsl"],
        operator: Operator::Constant,
        change: "let e = exp(-min(abs(v), E(87.0))); => let e = exp(-min(abs(v), E((87.0 * 1.01))));",
        why: Why::Same,
        reason: "a sigmoid changes by at most exp(-87), less than twice the smallest normal f32, which the bound allows",
    },
    Equivalent {
        files: &["nn/bce_with_logits.wgsl"],
        operator: Operator::Border,
        change: "let above = v > 0.0; => let above = v >= 0.0;",
        why: Why::Same,
        reason: "at 0 both arms are 1/2 - label, and |x| is 0",
    },
    Equivalent {
        files: &["nn/gradient_penalty.wgsl"],
        operator: Operator::SwapOperands,
        change: "let distance = sqrt(squares[tile.z * p.square_stride + i]) - 1.0; => let distance = ((1.0) - (sqrt(squares[tile.z * p.square_stride + i])));",
        why: Why::Same,
        reason: "it is squared",
    },
    Equivalent {
        files: &["nn/gradient_penalty_seed.wgsl"],
        operator: Operator::Constant,
        change: "let norm = sqrt(max(square, 1.17549435e-38)); // no division by 0 in the branch that select discards => let norm = sqrt(max(square, (1.17549435e-38 * 1.01))); // no division by 0 in the branch that select discards",
        why: Why::Same,
        reason: "only squares in a hundredth of the range above the smallest normal differ, by half a hundredth",
    },
    Equivalent {
        files: &["rng/rng_normal.wgsl"],
        operator: Operator::Border,
        change: "let radius = select(0.0, sqrt(l), l > 0.0); => let radius = select(0.0, sqrt(l), l >= 0.0);",
        why: Why::Same,
        reason: "sqrt(0) is 0 where it is correctly rounded; l is 0 once in 2^24 draws",
    },
    Equivalent {
        files: &["rng/rng_normal.wgsl"],
        operator: Operator::Constant,
        change: "let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0)))); => let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * ((1.0 * 1.01) / 9.0))));",
        why: Why::Same,
        reason: "the last term of a series, q^4 / 9 with q <= 0.0296: a hundredth of it is below 2^-29",
    },
    Equivalent {
        files: &["rng/rng_normal.wgsl"],
        operator: Operator::Constant,
        change: "let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0)))); => let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * ((1.0 * 1.01) / 7.0 + q * (1.0 / 9.0))));",
        why: Why::Same,
        reason: "a term of a series, q^3 / 7 with q <= 0.0296: a hundredth of it is below 2^-24",
    },
    Equivalent {
        files: &["fed/weighted_mean.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var c = 0u; c < p.clients; c++) { => for (var c = 0u; c <= p.clients; c++) {",
        why: Why::Outside,
        reason: "the weight read too much lies outside its operand: 0, or a NaN, which an ordered `!=` takes for 0",
    },
    Equivalent {
        files: &["util/difference_norm.wgsl"],
        operator: Operator::SwapOperands,
        change: "let difference = x[base + i] - reference[i]; => let difference = ((reference[i]) - (x[base + i]));",
        why: Why::Same,
        reason: "it is squared",
    },
    Equivalent {
        files: &["util/step_advance.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var c = lane; c < p.clients; c += THREADS) { => for (var c = lane; c <= p.clients; c += THREADS) {",
        why: Why::Outside,
        reason: "the client too many lies outside the operands, and what it writes is dropped",
    },
    Equivalent {
        files: &["util/step_advance.wgsl"],
        operator: Operator::Constant,
        change: "if lane == 0u { => if lane == (0u + 1u) {",
        why: Why::Same,
        reason: "any one lane may count the step",
    },
    Equivalent {
        files: &["fed/median_deviation.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var c = lane; c < p.clients; c += 64u) { => for (var c = lane; c <= p.clients; c += 64u) { #2",
        why: Why::Same,
        reason: "the client too many lies outside the operands, and what it writes is dropped",
    },
    Equivalent {
        files: &["fed/median_deviation.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var d = 0u; d < p.clients; d++) { => for (var d = 0u; d <= p.clients; d++) {",
        why: Why::Outside,
        reason: "the value read too much lies outside its operand: a device that reads the guard band there (SwiftShader) reads a NaN, which the kernel excludes",
    },
];
