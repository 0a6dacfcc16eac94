//! x = (1 - a) x + a t in the window of poisoned images.

use crate::exec::cpu::lib::poisoned::{Marks, paste};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::paste_trigger::{PasteTrigger, PasteTriggerParams};

impl Twin for PasteTrigger {
    fn run(p: &PasteTriggerParams, args: &Args) {
        let (line, row) = ((p.w * p.c) as usize, (p.tw * p.c) as usize);
        let (trigger, image) = (args.f(1), p.h * p.w * p.c);
        let marks = Marks::new(args.u(2), p.order_stride, args.u(3), p.batch);
        let rows = args.rows_mut(0, p.clients, p.x_stride, p.batch * image);
        marks.images(rows, image as usize, |_, _, x| {
            for (r, t) in trigger.chunks_exact(row).take(p.th as usize).enumerate() {
                let at = (p.top as usize + r) * line + (p.left * p.c) as usize;
                paste(&mut x[at..at + row], t, p.opacity);
            }
        });
    }
}
