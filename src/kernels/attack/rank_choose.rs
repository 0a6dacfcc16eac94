//! The value of a digit that holds a rank, from counts.

use super::magnitude::{BINS, DIGITS, place};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS};

crate::params! {
    /// Parameters of [`RankChoose`].
    pub struct RankChooseParams {
        /// Slices.
        slices: u32 in Count,
        /// The digit, from 0 to 7.
        digit: u32 in Range(0, 7),
    }
}

/// With `count[b] = sum_s counts[s, b]`: b is the first value up to which the counts reach the rank `found[2]`, or 255. The digit
/// of the key in `found[0]`, `found[1]`, which was 0, becomes b, and the counts below b are subtracted from the rank.
pub struct RankChoose;

impl Kernel for RankChoose {
    type Params = RankChooseParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "attack/rank_choose";
    const FORMULA: &'static str =
        "found[digit] = b, found[2] -= sum_{a < b} count[a]; b the first with sum_{a <= b} count[a] >= found[2]";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read_u32("counts", "[slices][256]"),
        Binding::write_u32("found", "[3]: the key's two words as far as they are found, and the rank within"),
    ];
    fn extents(&self, p: &RankChooseParams) -> Result<[usize; 2], String> {
        if p.digit >= DIGITS {
            return Err(format!("digit {}: must be below {DIGITS}", p.digit));
        }
        if p.slices == 0 || p.slices > MAX_GROUPS {
            return Err(format!("{} slices: must be 1 to {MAX_GROUPS}", p.slices));
        }
        Ok([(p.slices * BINS) as usize, 3])
    }
    fn build(&self, _: &RankChooseParams, _class: Class) -> Build {
        Build::plain("attack/rank_choose.wgsl", [1, 1, 1])
    }
    fn cost(&self, p: &RankChooseParams) -> Cost {
        let words = f64::from(p.slices) * f64::from(BINS);
        Cost { flops: words, bytes: 4.0 * (words + 6.0) }
    }
    fn at(&self, p: &RankChooseParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let rank = u64::from(inputs.u(1, 2));
        let count =
            |bin: u32| -> u64 { (0..p.slices).map(|s| u64::from(inputs.u(0, (s * BINS + bin) as usize))).sum() };
        let (mut bin, mut below) = (0, 0);
        while bin + 1 < BINS && below + count(bin) < rank {
            below += count(bin);
            bin += 1;
        }
        let (word, shift) = place(p.digit);
        match index {
            2 => Some(Eval::exact((rank as u32).wrapping_sub(below as u32) as f64)),
            _ if index == word => Some(Eval::exact(f64::from(inputs.u(1, index) | bin << shift))),
            _ => None,
        }
    }
    fn cases(&self) -> Vec<RankChooseParams> {
        [(1, 3), (1, 0), (3, 1), (7, 2), (16, 4), (2, 5), (5, 6), (9, 7)]
            .map(|(slices, digit)| RankChooseParams { slices, digit })
            .to_vec()
    }
    fn contents(&self, p: &RankChooseParams) -> [Contents; 2] {
        // Ranks in the first value that changes `found`, in the last, at the end of one, at the start of the next, and beyond all.
        let counts: Vec<u32> = (0..p.slices * BINS).map(|i| i * 7 % 11).collect();
        let bin = |bin: u32| -> u32 { (0..p.slices).map(|s| counts[(s * BINS + bin) as usize]).sum() };
        let up_to = |last: u32| -> u32 { (0..=last).map(bin).sum() };
        let rank = [up_to(0) + 1, up_to(255), up_to(100), up_to(17) + 1, up_to(255) + 3][p.digit as usize % 5];
        let (word, shift) = place(p.digit);
        let mut found = [0x1122_3344, 0x5566_7788, rank];
        found[word] = if shift == 24 { 0 } else { found[word] & (0xffff_ff00 << shift) };
        [Contents::Words(counts), Contents::Words(found.to_vec())]
    }
}
