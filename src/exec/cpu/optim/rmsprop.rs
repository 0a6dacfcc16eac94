//! One step of RMSprop on every active client.

use crate::exec::cpu::lib::CHUNK;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::optim::rmsprop::{Rmsprop, RmspropParams};
use rayon::prelude::*;

impl Twin for Rmsprop {
    fn run(p: &RmspropParams, args: &Args) {
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
}
