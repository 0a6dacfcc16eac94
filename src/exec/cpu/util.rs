//! Moving words, reductions, the step counter.

use super::Args;
use crate::kernels::Params;
use crate::kernels::util::{
    copy::CopyParams, difference_dot::DifferenceDotParams, difference_norm::DifferenceNormParams, fill::FillParams,
    first_nonfinite::FirstNonfiniteParams, gather_batch::GatherBatchParams, max_abs::MaxAbsParams,
    reduce_sum::ReduceSumParams, step_advance::StepAdvanceParams,
};
use rayon::prelude::*;

/// y = value.
pub fn fill(words: &[u32], args: &Args) {
    let p = FillParams::from_words(words);
    for row in args.rows_mut(0, p.clients, p.y_stride, p.n) {
        row.fill(p.value);
    }
}

/// y = x.
pub fn copy(words: &[u32], args: &Args) {
    let p = CopyParams::from_words(words);
    let x = args.u(0);
    args.rows_mut_u32(1, p.clients, p.y_stride, p.n).into_par_iter().enumerate().for_each(|(c, y)| {
        y.copy_from_slice(&x[c * p.x_stride as usize..][..p.n as usize]);
    });
}

/// y = byte / 127.5 - 1 of the images that the order names.
pub fn gather_batch(words: &[u32], args: &Args) {
    let p = GatherBatchParams::from_words(words);
    let (pixels, order, step) = (bytemuck::cast_slice::<u32, u8>(args.u(0)), args.u(1), args.u(2)[0]);
    let image = p.image as usize;
    // Words hold their first byte lowest: in a big-endian host's memory it comes last.
    let value = |byte: u8| (2 * byte as i32 - 255) as f32 * (1.0 / 255.0);
    let flip = if cfg!(target_endian = "big") { 3 } else { 0 };
    args.rows_mut(3, p.clients, p.y_stride, p.batch * p.image).into_par_iter().enumerate().for_each(|(c, y)| {
        let order = &order[c * p.order_stride as usize + (step * p.batch) as usize..];
        y.par_chunks_exact_mut(image).zip(order).for_each(|(y, entry)| {
            let from = &pixels[(entry & 0x7fff_ffff) as usize * image..][..image];
            y.iter_mut().enumerate().for_each(|(e, y)| *y = value(from[e ^ flip]));
        });
    });
}

/// The sum of `n` terms in the order of the shaders: 256 lanes, then a tree.
fn lane_sum(n: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; 256];
    for start in (0..n).step_by(256) {
        for (lane, sum) in lanes[..(n - start).min(256)].iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    let mut width = 128;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// y[c] = sum of x[c, i] or of its squares.
pub fn reduce_sum(words: &[u32], args: &Args) {
    let p = ReduceSumParams::from_words(words);
    let x = args.f(0);
    args.rows_mut(1, p.clients, p.y_stride, 1).into_par_iter().enumerate().for_each(|(c, y)| {
        let x = &x[c * p.x_stride as usize..][..p.n as usize];
        y[0] = match p.mode {
            1 => lane_sum(x.len(), |i| x[i] * x[i]),
            _ => lane_sum(x.len(), |i| x[i]),
        };
    });
}

/// y[c] = sum of (x[c, i] - reference[i])^2.
pub fn difference_norm(words: &[u32], args: &Args) {
    let p = DifferenceNormParams::from_words(words);
    let (x, reference) = (args.f(0), args.f(1));
    args.rows_mut(2, p.clients, p.y_stride, 1).into_par_iter().enumerate().for_each(|(c, y)| {
        let x = &x[c * p.x_stride as usize..][..p.n as usize];
        y[0] = lane_sum(x.len(), |i| (x[i] - reference[i]) * (x[i] - reference[i]));
    });
}

/// y[c, y_at] = sum of (x[c, i] - reference[i]) (mean[i] - reference[i]).
pub fn difference_dot(words: &[u32], args: &Args) {
    let p = DifferenceDotParams::from_words(words);
    let (x, reference, mean) = (args.f(0), args.f(1), args.f(2));
    let rows = args.rows_mut(3, p.clients, p.y_stride, p.y_at + 1);
    rows.into_par_iter().enumerate().for_each(|(c, y)| {
        let x = &x[c * p.x_stride as usize..][..p.n as usize];
        y[p.y_at as usize] = lane_sum(x.len(), |i| (x[i] - reference[i]) * (mean[i] - reference[i]));
    });
}

/// y[c, y_at] = max |x[c, i]|.
pub fn max_abs(words: &[u32], args: &Args) {
    let p = MaxAbsParams::from_words(words);
    let x = args.f(0);
    args.rows_mut(1, p.clients, p.y_stride, p.y_at + 1).into_par_iter().enumerate().for_each(|(c, y)| {
        let x = &x[c * p.x_stride as usize..][..p.n as usize];
        y[p.y_at as usize] = f32::from_bits(x.iter().fold(0, |largest, x| x.abs().to_bits().max(largest)));
    });
}

/// y[c, y_at] = max(y[c, y_at], ~i) of the first i with an exponent of ones.
pub fn first_nonfinite(words: &[u32], args: &Args) {
    /// Words of a block: whether it has a fault is asked without branches, where only then.
    const BLOCK: usize = 4096;
    let p = FirstNonfiniteParams::from_words(words);
    let x = args.u(0);
    let fault = |word: &u32| word & 0x7fff_ffff >= 0x7f80_0000;
    args.rows_mut_u32(1, p.clients, p.y_stride, p.y_at + 1).into_par_iter().enumerate().for_each(|(c, y)| {
        let x = &x[c * p.x_stride as usize..][..p.n as usize];
        let first = x.par_chunks(BLOCK).enumerate().find_map_first(|(at, block)| {
            let any = block.iter().fold(false, |any, word| any | fault(word));
            if any { block.iter().position(fault).map(|i| at * BLOCK + i) } else { None }
        });
        if let Some(i) = first {
            y[p.y_at as usize] = y[p.y_at as usize].max(!(i as u32));
        }
    });
}

/// Books the losses of active clients, then advances the step.
pub fn step_advance(words: &[u32], args: &Args) {
    let p = StepAdvanceParams::from_words(words);
    let (losses, client_steps) = (args.f(0), args.u(1));
    let state = args.rows_mut_u32(3, 1, 0, 4).remove(0);
    for (c, stats) in args.rows_mut(2, p.clients, p.stat_stride, 8).into_iter().enumerate() {
        if state[0] < client_steps[c] {
            for (k, loss) in losses[c * p.loss_stride as usize..][..3].iter().enumerate() {
                stats[k] += loss;
                stats[4 + k] = *loss;
            }
            stats[3] += 1.0;
            stats[7] += losses[c * p.loss_stride as usize + 3];
        }
    }
    state[0] = state[0].wrapping_add(1);
    state[2] = state[2].wrapping_add(1);
}
