//! The sum of a weight gradient's parts. Convolutions are matrix products over patches (im2col), in tasks of pixels,
//! images or taps. The split into tasks and the order of every sum depend on one client's shape only, not on the number
//! of threads or clients.

use rayon::prelude::*;

/// Elements per `split_sum` task.
const SUM_WORDS: usize = 16 * 1024;

/// `y[i] = (add ? y[i] : 0) + x[i] + x[size + i] + ...`, in that order.
pub(in crate::exec::cpu) fn add_in_order(y: &mut [f32], x: &[f32], size: usize, add: bool) {
    y.par_chunks_mut(SUM_WORDS).enumerate().for_each(|(block, y)| {
        let first = block * SUM_WORDS;
        for (s, x) in x.chunks(size).enumerate() {
            let x = &x[first..first + y.len()];
            if s == 0 && !add {
                y.copy_from_slice(x);
            } else {
                y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
            }
        }
    });
}
