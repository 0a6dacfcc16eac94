//! Between clients and server.

use super::Args;
use crate::kernels::Params;
use crate::kernels::fed::{broadcast::BroadcastParams, weighted_mean::WeightedMeanParams};
use rayon::prelude::*;

const CHUNK: usize = 8192;

/// y = [y +] sum_c weights[first + c] x[c], every element in client order.
pub fn weighted_mean(words: &[u32], args: &Args) {
    let p = WeightedMeanParams::from_words(words);
    let (x, weights) = (args.f(0), args.f(1));
    let y = args.rows_mut(2, 1, 0, p.n).remove(0);
    y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
        if p.accumulate == 0 {
            y.fill(0.0);
        }
        for c in 0..p.clients as usize {
            let weight = weights[p.first as usize + c];
            if weight != 0.0 {
                let x = &x[c * p.x_stride as usize + chunk * CHUNK..][..y.len()];
                y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
            }
        }
    });
}

/// y[c] = x.
pub fn broadcast(words: &[u32], args: &Args) {
    let p = BroadcastParams::from_words(words);
    let x = &args.u(0)[..p.n as usize];
    args.rows_mut_u32(1, p.clients, p.y_stride, p.n).into_par_iter().for_each(|y| y.copy_from_slice(x));
}
