//! y = x between four pixels in poisoned images, y = x in the others.

use crate::exec::cpu::lib::images::images;
use crate::exec::cpu::lib::poisoned::Marks;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::warp::{Warp, WarpParams};

impl Twin for Warp {
    fn run(p: &WarpParams, args: &Args) {
        let (x, source, weights) = (args.f(0), args.u(1), args.f(2));
        let marks = Marks::new(args.u(3), p.order_stride, args.u(4), p.batch);
        let (h, w, c) = (p.h as usize, p.w as usize, p.c as usize);
        let image = h * w * c;
        let rows = args.rows_mut(5, p.clients, p.y_stride, p.batch * image as u32);
        images(rows, image, |client, at, y| {
            let x = &x[client * p.x_stride as usize + at * image..][..image];
            if !marks.has(client, at) {
                return y.copy_from_slice(x);
            }
            for (pixel, y) in y.chunks_exact_mut(c).enumerate() {
                let (row, column) = (source[pixel] as usize / w, source[pixel] as usize % w);
                let (right, lower) = ((column + 1).min(w - 1), (row + 1).min(h - 1));
                let (share, down) = (weights[2 * pixel], weights[2 * pixel + 1]);
                for (channel, y) in y.iter_mut().enumerate() {
                    let along = |row: usize| {
                        let line = |column: usize| x[(row * w + column) * c + channel];
                        (1.0 - share) * line(column) + share * line(right)
                    };
                    *y = (1.0 - down) * along(row) + down * along(lower);
                }
            }
        });
    }
}
