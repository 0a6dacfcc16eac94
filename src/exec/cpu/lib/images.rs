//! Instance norm: positions of images and their sums; parallel loops over images.

use crate::exec::cpu::Args;
use crate::exec::cpu::lib::sums::client_of;
use crate::kernels::nn::instance::InstanceParams;
use rayon::prelude::*;

/// Runs `f(client, image, slice)` over every image's `len` words of a read-write operand.
pub(in crate::exec::cpu) fn images(rows: Vec<&mut [f32]>, len: usize, f: impl Fn(usize, usize, &mut [f32]) + Sync) {
    rows.into_par_iter().enumerate().for_each(|(client, row)| {
        row.par_chunks_mut(len).enumerate().for_each(|(image, words)| f(client, image, words))
    });
}

/// The words of an image in a read-only operand of `[n][words]`.
fn image_of(all: &[f32], client: usize, stride: u32, image: usize, len: usize) -> &[f32] {
    &all[client * stride as usize + image * len..][..len]
}

impl InstanceParams {
    pub(in crate::exec::cpu) fn len(&self) -> usize {
        (self.rows * self.c) as usize
    }

    pub(in crate::exec::cpu) fn pixels<'a>(&self, all: &'a [f32], client: usize, image: usize) -> &'a [f32] {
        image_of(all, client, self.x_stride, image, self.len())
    }

    /// Mean and inverse deviation of an image.
    pub(in crate::exec::cpu) fn split_stats<'a>(
        &self,
        all: &'a [f32],
        client: usize,
        image: usize,
    ) -> (&'a [f32], &'a [f32]) {
        image_of(all, client, self.stat_stride, image, 2 * self.c as usize).split_at(self.c as usize)
    }

    /// The sums of an image from `place` on, one row of channels each.
    pub(in crate::exec::cpu) fn sums<'a>(
        &self,
        all: &'a [f32],
        client: usize,
        image: usize,
        place: u32,
    ) -> Vec<&'a [f32]> {
        let c = self.c as usize;
        let sums = image_of(all, client, self.moment_stride, image, self.places as usize * c);
        sums[place as usize * c..].chunks(c).collect()
    }

    pub(in crate::exec::cpu) fn channels<'a>(&self, all: &'a [f32], client: usize) -> &'a [f32] {
        client_of(all, client, self.param_stride, self.c as usize)
    }

    pub(in crate::exec::cpu) fn write_x<'a>(&self, args: &'a Args, slot: usize) -> Vec<&'a mut [f32]> {
        args.rows_mut(slot, self.clients, self.x_stride, self.n * self.rows * self.c)
    }
}

/// Writes a sum, or adds it to the old value.
pub(in crate::exec::cpu) fn put(to: &mut f32, sum: f64, accumulate: u32) {
    *to = if accumulate == 1 { *to + sum as f32 } else { sum as f32 };
}
