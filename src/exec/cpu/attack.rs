//! What a malicious client does.

use super::Args;
use crate::kernels::Params;
use crate::kernels::attack::{paste_trigger::PasteTriggerParams, scale_update::ScaleUpdateParams};
use rayon::prelude::*;

/// x = (1 - a) x + a t in the window of poisoned images.
pub fn paste_trigger(words: &[u32], args: &Args) {
    let p = PasteTriggerParams::from_words(words);
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

/// w = reference + scale (w - reference) where the client's scale is not 1.
pub fn scale_update(words: &[u32], args: &Args) {
    let p = ScaleUpdateParams::from_words(words);
    let (reference, scales) = (args.f(1), args.f(2));
    args.rows_mut(0, p.clients, p.stride, p.n)
        .into_par_iter()
        .zip(scales)
        .filter(|(_, s)| **s != 1.0)
        .for_each(|(w, scale)| w.iter_mut().zip(reference).for_each(|(w, from)| *w = from + scale * (*w - from)));
}
