//! y += b.

use crate::exec::cpu::lib::pieces::pieces;
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::bias_add::{BiasAdd, BiasAddParams};

impl Twin for BiasAdd {
    fn run(p: &BiasAddParams, args: &Args) {
        let (b, c) = (args.f(0), p.c as usize);
        pieces(args.rows_mut(1, p.clients, p.y_stride, p.rows * p.c), c, |client, _, y| {
            let b = client_of(b, client, p.b_stride, c);
            y.chunks_exact_mut(c).for_each(|y| y.iter_mut().zip(b).for_each(|(y, b)| *y += b));
        });
    }
}
