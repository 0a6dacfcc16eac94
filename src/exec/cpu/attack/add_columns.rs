//! x = clip(x + the column's signal) in poisoned images.

use crate::exec::cpu::lib::poisoned::Marks;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::add_columns::{AddColumns, AddColumnsParams};

impl Twin for AddColumns {
    fn run(p: &AddColumnsParams, args: &Args) {
        // Operands may be longer than their extents.
        let signal = &args.f(1)[..p.w as usize];
        let (image, c) = (p.h * p.w * p.c, p.c as usize);
        let marks = Marks::new(args.u(2), p.order_stride, args.u(3), p.batch);
        let rows = args.rows_mut(0, p.clients, p.x_stride, p.batch * image);
        marks.images(rows, image as usize, |_, _, x| {
            for (pixel, signal) in x.chunks_exact_mut(c).zip(signal.iter().cycle()) {
                // clamp keeps NaN.
                pixel.iter_mut().for_each(|x| *x = (*x + signal).clamp(p.low, p.high));
            }
        });
    }
}
