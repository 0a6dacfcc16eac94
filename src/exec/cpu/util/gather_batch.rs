//! y = byte / 127.5 - 1 of the images that the order lists.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::util::gather_batch::{GatherBatch, GatherBatchParams};
use rayon::prelude::*;

impl Twin for GatherBatch {
    fn run(p: &GatherBatchParams, args: &Args) {
        let (pixels, order, step) = (bytemuck::cast_slice::<u32, u8>(args.u(0)), args.u(1), args.u(2)[0]);
        let image = p.image as usize;
        // The first byte is the lowest of a word; in a big-endian host's memory it comes last.
        let value = |byte: u8| (2 * byte as i32 - 255) as f32 * (1.0 / 255.0);
        let flip = if cfg!(target_endian = "big") { 3 } else { 0 };
        args.rows_mut(3, p.clients, p.y_stride, p.batch * p.image).into_par_iter().enumerate().for_each(|(c, y)| {
            let order = &order[c * p.order_stride as usize + (step * p.batch) as usize..];
            y.par_chunks_exact_mut(image).zip(order).for_each(|(y, entry)| {
                let from = &pixels[(entry & 0x7fff_ffff) as usize * image..][..image];
                y.iter_mut().enumerate().for_each(|(e, y)| *y = value(from[e ^ flip]));
            });
        });
    }
}
