//! `y[k] = base[k] + mean of x[c, k] - base[k]` over places `window[0]` to `window[1]` of the sorted values.

use crate::exec::cpu::lib::ranks::{LANES, by_rank};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::trimmed_mean::{TrimmedMean, TrimmedMeanParams};

impl Twin for TrimmedMean {
    fn run(p: &TrimmedMeanParams, args: &Args) {
        let (x, taken, base, window) = (args.f(0), args.f(1), args.f(2), args.u(3));
        let (first, last, rate) = (window[0] as usize, window[1] as usize, f32::from_bits(window[2]));
        let row = |c: usize| &x[c * p.x_stride as usize..][..p.n as usize];
        let y = args.rows_mut(4, 1, 0, p.n).remove(0);
        by_rank(&taken[..p.clients as usize], row, &base[..p.n as usize], y, |sorted, base| {
            if first == last {
                return sorted[first];
            }
            let mut sums = [0f32; LANES];
            for values in &sorted[first..=last] {
                for l in 0..LANES {
                    sums[l] += values[l] - base[l];
                }
            }
            std::array::from_fn(|l| base[l] + sums[l] * rate)
        });
    }
}
