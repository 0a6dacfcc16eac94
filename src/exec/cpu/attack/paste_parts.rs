//! x = (1 - a) x + a t in the client's part of the window of poisoned images.

use crate::exec::cpu::lib::poisoned::{Marks, paste};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::paste_parts::{PasteParts, PastePartsParams};

impl Twin for PasteParts {
    fn run(p: &PastePartsParams, args: &Args) {
        // Operands may be longer than their extents.
        let (pixels, parts, part) = ((p.th * p.tw) as usize, args.u(2), args.u(3));
        let trigger = &args.f(1)[..pixels * p.c as usize];
        let marks = Marks::new(args.u(4), p.order_stride, args.u(5), p.batch);
        let (image, c) = (p.h * p.w * p.c, p.c as usize);
        let rows = args.rows_mut(0, p.clients, p.x_stride, p.batch * image);
        marks.images(rows, image as usize, |client, _, x| {
            for (i, pixel) in trigger.chunks_exact(c).enumerate().filter(|(i, _)| parts[*i] == part[client]) {
                let (row, column) = (p.top as usize + i / p.tw as usize, p.left as usize + i % p.tw as usize);
                let at = (row * p.w as usize + column) * c;
                paste(&mut x[at..at + c], pixel, p.opacity);
            }
        });
    }
}
