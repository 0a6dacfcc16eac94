//! `y[k] = base[k] + mean of x[c, k] - base[k]` over the `window[0]` values nearest to the median.

use crate::exec::cpu::lib::ranks::by_rank;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::mean_around_median::{MeanAroundMedian, MeanAroundMedianParams};

impl Twin for MeanAroundMedian {
    fn run(p: &MeanAroundMedianParams, args: &Args) {
        let (x, taken, base, window) = (args.f(0), args.f(1), args.f(2), args.u(3));
        let (keep, rate) = (window[0] as usize, f32::from_bits(window[1]));
        let row = |c: usize| &x[c * p.x_stride as usize..][..p.n as usize];
        let y = args.rows_mut(4, 1, 0, p.n).remove(0);
        by_rank(&taken[..p.clients as usize], row, &base[..p.n as usize], y, |sorted, base| {
            let count = sorted.len();
            std::array::from_fn(|l| {
                let value = |place: usize| sorted[place][l];
                let median = 0.5 * value((count - 1) / 2) + 0.5 * value(count / 2);
                let mut first = 0;
                while first + keep < count && median - value(first) > value(first + keep) - median {
                    first += 1;
                }
                if keep == 1 {
                    return value(first);
                }
                base[l] + (first..first + keep).map(|place| value(place) - base[l]).sum::<f32>() * rate
            })
        });
    }
}
