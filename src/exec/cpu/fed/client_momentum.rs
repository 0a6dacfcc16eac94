//! `m = beta m + (1 - beta) (w - base); w = base + m`.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::client_momentum::{ClientMomentum, ClientMomentumParams};
use rayon::prelude::*;

impl Twin for ClientMomentum {
    fn run(p: &ClientMomentumParams, args: &Args) {
        let base = args.f(1);
        let rows = args.rows_mut(0, p.clients, p.w_stride, p.n).into_par_iter();
        rows.zip(args.rows_mut(2, p.clients, p.m_stride, p.n)).for_each(|(w, m)| {
            for ((w, m), base) in w.iter_mut().zip(m).zip(base) {
                *m = p.beta * *m + p.one_minus_beta * (*w - base);
                *w = base + *m;
            }
        });
    }
}
