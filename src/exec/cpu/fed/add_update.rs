//! `y[c, k] += x[c, k] - base[k]`.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::add_update::{AddUpdate, AddUpdateParams};
use rayon::prelude::*;

impl Twin for AddUpdate {
    fn run(p: &AddUpdateParams, args: &Args) {
        let (x, base) = (args.f(0), args.f(1));
        args.rows_mut(2, p.clients, p.y_stride, p.n).into_par_iter().enumerate().for_each(|(c, y)| {
            let x = &x[c * p.x_stride as usize..];
            y.iter_mut().zip(x).zip(base).for_each(|((y, x), base)| *y += x - base);
        });
    }
}
