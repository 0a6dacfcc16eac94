//! Counts the values of a digit among the keys of each slice.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::rank_digits::{RankDigits, RankDigitsParams};
use crate::kernels::fed::pairs::{SLICE, slices};
use rayon::prelude::*;

impl Twin for RankDigits {
    fn run(p: &RankDigitsParams, args: &Args) {
        let (x, found) = (args.u(0), args.u(1));
        let shift = 24 - 8 * (p.digit % 4);
        let before = if shift == 24 { 0 } else { 0xffff_ff00u32 << shift };
        let y = args.rows_mut_u32(2, 1, 0, slices(p.n) * 256).remove(0);
        y.par_chunks_mut(256).enumerate().for_each(|(slice, counts)| {
            let first = slice * SLICE as usize;
            let words = &x[first..(first + SLICE as usize).min(p.n as usize)];
            counts.fill(0);
            for (i, bits) in (first as u32..).zip(words) {
                let magnitude = 0x7fff_ffff - (bits & 0x7fff_ffff);
                let (word, wanted) = if p.digit < 4 { (magnitude, found[0]) } else { (i, found[1]) };
                if (p.digit < 4 || magnitude == found[0]) && (word ^ wanted) & before == 0 {
                    counts[(word >> shift & 0xff) as usize] += 1;
                }
            }
        });
    }
}
