//! x = (1 - a) x + a t in the window of poisoned images.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::paste_trigger::{PasteTrigger, PasteTriggerParams};
use rayon::prelude::*;

impl Twin for PasteTrigger {
    fn run(p: &PasteTriggerParams, args: &Args) {
        let (trigger, order, step) = (args.f(1), args.u(2), args.u(3)[0]);
        let (line, row) = ((p.w * p.c) as usize, (p.tw * p.c) as usize);
        let image = p.h as usize * line;
        let rows = args.rows_mut(0, p.clients, p.x_stride, p.batch * image as u32);
        rows.into_par_iter().enumerate().for_each(|(c, x)| {
            let order = &order[c * p.order_stride as usize + (step * p.batch) as usize..];
            for (x, _) in x.chunks_exact_mut(image).zip(order).filter(|(_, entry)| **entry >> 31 == 1) {
                for (r, t) in trigger.chunks_exact(row).take(p.th as usize).enumerate() {
                    let at = (p.top as usize + r) * line + (p.left * p.c) as usize;
                    if p.opacity == 1.0 {
                        x[at..at + row].copy_from_slice(t);
                    } else {
                        let blend = |(x, t): (&mut f32, &f32)| *x = (1.0 - p.opacity) * *x + p.opacity * t;
                        x[at..at + row].iter_mut().zip(t).for_each(blend);
                    }
                }
            }
        });
    }
}
