//! `y[c] = x`.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::fed::broadcast::{Broadcast, BroadcastParams};
use rayon::prelude::*;

impl Twin for Broadcast {
    fn run(p: &BroadcastParams, args: &Args) {
        let x = &args.u(0)[..p.n as usize];
        args.rows_mut_u32(1, p.clients, p.y_stride, p.n).into_par_iter().for_each(|y| y.copy_from_slice(x));
    }
}
