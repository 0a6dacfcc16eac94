//! The first value of a digit up to which the counts reach the rank.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::rank_choose::{RankChoose, RankChooseParams};

impl Twin for RankChoose {
    fn run(p: &RankChooseParams, args: &Args) {
        let counts = args.u(0);
        let found = args.rows_mut_u32(1, 1, 0, 3).remove(0);
        let mut totals = [0u32; 256];
        for slice in counts[..256 * p.slices as usize].chunks(256) {
            totals.iter_mut().zip(slice).for_each(|(total, count)| *total += count);
        }
        let (mut bin, mut below) = (0, 0);
        while bin < 255 && below + totals[bin] < found[2] {
            below += totals[bin];
            bin += 1;
        }
        found[(p.digit / 4) as usize] |= (bin as u32) << (24 - 8 * (p.digit % 4));
        found[2] -= below;
    }
}
