//! Mean and deviation of the taken clients' `x[c, k] - base[k]`, every coordinate in client order.

use crate::exec::cpu::lib::CHUNK;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::benign_moments::{BenignMoments, BenignMomentsParams};
use rayon::prelude::*;

impl Twin for BenignMoments {
    fn run(p: &BenignMomentsParams, args: &Args) {
        let (x, taken, base) = (args.f(0), args.f(1), args.f(2));
        let clients: Vec<usize> = (0..p.clients as usize).filter(|c| taken[*c] != 0.0).collect();
        let count = clients.len() as f32;
        let divisor = (count - p.ddof as f32).max(1.0);
        let mean = args.rows_mut(3, 1, 0, p.n).remove(0);
        let deviation = args.rows_mut(4, 1, 0, p.n).remove(0);
        let chunks = mean.par_chunks_mut(CHUNK).zip(deviation.par_chunks_mut(CHUNK)).enumerate();
        chunks.for_each(|(chunk, (mean, deviation))| {
            let at = chunk * CHUNK;
            let base = &base[at..][..mean.len()];
            let row = |c: &usize| &x[c * p.x_stride as usize + at..][..base.len()];
            mean.fill(0.0);
            deviation.fill(0.0);
            for c in &clients {
                mean.iter_mut().zip(row(c)).zip(base).for_each(|((m, x), base)| *m += x - base);
            }
            mean.iter_mut().for_each(|m| *m /= count);
            for c in &clients {
                for (((d, m), x), base) in deviation.iter_mut().zip(mean.iter()).zip(row(c)).zip(base) {
                    let off = x - base - m;
                    *d += off * off;
                }
            }
            deviation.iter_mut().for_each(|d| *d = (*d / divisor).sqrt());
        });
    }
}
