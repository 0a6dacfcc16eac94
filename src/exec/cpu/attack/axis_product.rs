//! y = [y +] the product of a table with one axis of poisoned images, in f64 sums.

use crate::exec::cpu::lib::poisoned::Marks;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::axis_product::{AxisProduct, AxisProductParams};

impl Twin for AxisProduct {
    fn run(p: &AxisProductParams, args: &Args) {
        let (x, table) = (args.f(0), args.f(1));
        let marks = Marks::new(args.u(2), p.order_stride, args.u(3), p.batch);
        let [n, m, inner] = [p.n, p.m, p.inner].map(|side| side as usize);
        let from = p.outer as usize * n * inner;
        let to = p.outer * p.m * p.inner;
        let rows = args.rows_mut(4, p.clients, p.y_stride, p.batch * to);
        marks.images(rows, to as usize, |client, image, y| {
            let x = &x[client * p.x_stride as usize + image * from..][..from];
            for (i, y) in y.iter_mut().enumerate() {
                let (row, x) = (i / inner % m, &x[i / (m * inner) * n * inner + i % inner..]);
                let base = if row < p.plain as usize { 0.0 } else { x[0] };
                let line = table[row * n..][..n].iter().zip(x.iter().step_by(inner));
                let sum: f64 = line.map(|(t, x)| f64::from(*t) * f64::from(x - base)).sum();
                // clamp keeps NaN.
                *y = if p.add == 1 { (*y + sum as f32).clamp(p.low, p.high) } else { sum as f32 };
            }
        });
    }
}
