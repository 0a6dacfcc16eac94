//! `y[c, y_at] = max |x[c, i]|`.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::util::max_abs::{MaxAbs, MaxAbsParams};
use rayon::prelude::*;

impl Twin for MaxAbs {
    fn run(p: &MaxAbsParams, args: &Args) {
        let x = args.f(0);
        args.rows_mut(1, p.clients, p.y_stride, p.y_at + 1).into_par_iter().enumerate().for_each(|(c, y)| {
            let x = &x[c * p.x_stride as usize..][..p.n as usize];
            y[p.y_at as usize] = f32::from_bits(x.iter().fold(0, |largest, x| x.abs().to_bits().max(largest)));
        });
    }
}
