//! Optimisers.

use super::Args;
use crate::kernels::Params;
use crate::kernels::optim::{adam::AdamParams, rmsprop::RmspropParams};
use rayon::prelude::*;

/// Elements a parallel task updates; elementwise, so the partition does not show in the result.
const CHUNK: usize = 8192;

/// One step of Adam on every active client.
pub fn adam(words: &[u32], args: &Args) {
    let p = AdamParams::from_words(words);
    let rows = |slot| args.rows_mut(slot, p.clients, p.stride, p.n);
    let (g, table, step, client_steps) = (args.f(1), args.f(4), args.u(5)[0], args.u(6));
    let operands = rows(0).into_par_iter().zip(rows(2)).zip(rows(3)).enumerate();
    operands.filter(|(c, _)| step < client_steps[*c]).for_each(|(c, ((w, m), v))| {
        let entry = c * p.table_stride as usize + 2 * step as usize;
        let (rate, correction) = (table[entry], table[entry + 1]);
        let g = &g[c * p.stride as usize..][..p.n as usize];
        let chunks = w.par_chunks_mut(CHUNK).zip(m.par_chunks_mut(CHUNK)).zip(v.par_chunks_mut(CHUNK));
        chunks.zip(g.par_chunks(CHUNK)).for_each(|(((w, m), v), g)| {
            for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
                *m = p.beta1 * *m + p.one_minus_beta1 * g;
                *v = p.beta2 * *v + p.one_minus_beta2 * g * g;
                *w -= rate * *m / (v.sqrt() * correction + p.eps);
            }
        });
    });
}

/// One step of RMSprop on every active client.
pub fn rmsprop(words: &[u32], args: &Args) {
    let p = RmspropParams::from_words(words);
    let rows = |slot| args.rows_mut(slot, p.clients, p.stride, p.n);
    let (g, step, client_steps) = (args.f(1), args.u(3)[0], args.u(4));
    let operands = rows(0).into_par_iter().zip(rows(2)).enumerate();
    operands.filter(|(c, _)| step < client_steps[*c]).for_each(|(c, (w, v))| {
        let g = &g[c * p.stride as usize..][..p.n as usize];
        let chunks = w.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK)).zip(g.par_chunks(CHUNK));
        chunks.for_each(|((w, v), g)| {
            for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
                *v = p.alpha * *v + p.one_minus_alpha * g * g;
                *w -= p.lr * g / (v.sqrt() + p.eps);
            }
        });
    });
}
