//! One step of Adam on every active client.

use crate::exec::cpu::lib::CHUNK;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::optim::adam::{Adam, AdamParams};
use rayon::prelude::*;

impl Twin for Adam {
    fn run(p: &AdamParams, args: &Args) {
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
}
