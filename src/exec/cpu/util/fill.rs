//! y = value.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::util::fill::{Fill, FillParams};

impl Twin for Fill {
    fn run(p: &FillParams, args: &Args) {
        for row in args.rows_mut(0, p.clients, p.y_stride, p.n) {
            row.fill(p.value);
        }
    }
}
