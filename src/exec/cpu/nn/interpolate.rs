//! y = a x + (1 - a) z.

use crate::exec::cpu::lib::pieces::pieces;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::interpolate::{Interpolate, InterpolateParams};

impl Twin for Interpolate {
    fn run(p: &InterpolateParams, args: &Args) {
        let (x, z, a, len) = (args.f(0), args.f(1), args.f(2), p.len as usize);
        pieces(args.rows_mut(3, p.clients, p.x_stride, p.n * p.len), len, |client, start, y| {
            let at = client * p.x_stride as usize + start;
            let weights = &a[client * p.a_stride as usize + start / len..];
            let images = x[at..].chunks(len).zip(z[at..].chunks(len)).zip(weights);
            for (y, ((x, z), a)) in y.chunks_exact_mut(len).zip(images) {
                y.iter_mut().zip(x.iter().zip(z)).for_each(|(y, (x, z))| *y = a * x + (1.0 - a) * z);
            }
        });
    }
}
