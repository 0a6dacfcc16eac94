//! `y[c, j] = x[c, columns[j]] - base[columns[j]]`.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::gather_update::{GatherUpdate, GatherUpdateParams};
use rayon::prelude::*;

impl Twin for GatherUpdate {
    fn run(p: &GatherUpdateParams, args: &Args) {
        let (x, base, columns) = (args.f(0), args.f(1), args.u(2));
        args.rows_mut(3, p.clients, p.y_stride, p.count).into_par_iter().enumerate().for_each(|(c, y)| {
            let x = &x[c * p.x_stride as usize..];
            y.iter_mut().zip(columns).for_each(|(y, k)| *y = x[*k as usize] - base[*k as usize]);
        });
    }
}
