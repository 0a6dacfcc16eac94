//! large = small conv-transposed weights; positions that no tap reaches get 0.

use crate::exec::cpu::gemm::{Block, Mat, gemm, with_patches};
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::patches::Geometry;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::conv::ConvParams;
use crate::kernels::nn::conv_transpose2d::ConvTranspose2d;
use rayon::prelude::*;

impl Twin for ConvTranspose2d {
    fn run(p: &ConvParams, args: &Args) {
        let g = Geometry::new(p);
        let (small, weights) = (args.f(0), args.f(1));
        let pixels = g.oh * g.ow;
        // Where patches do not overlap, any pixel may be its own task.
        let (task, unit, per_task) = match g.contiguous() {
            true => (g.task_pixels(), g.row(), g.task_pixels()),
            false => (g.task_images(), g.image(), g.task_images() * pixels),
        };
        args.rows_mut(2, p.clients, p.large_stride, (g.n * g.image()) as u32)
            .into_par_iter()
            .enumerate()
            .flat_map(|(c, row)| row.par_chunks_mut(task * unit).enumerate().map(move |(i, x)| (c, i, x)))
            .for_each(|(c, i, x)| {
                let weights = client_of(weights, c, p.weight_stride, g.row() * g.co);
                let small = client_of(small, c, p.small_stride, g.pixels() * g.co);
                let first = i * per_task * g.co;
                let end = (first + per_task * g.co).min(small.len());
                scatter(&g, &small[first..end], weights, x);
            });
    }
}

/// The large side of consecutive whole images (or of any pixels, if patches do not overlap) from their small side.
fn scatter(g: &Geometry, small: &[f32], weights: &[f32], x: &mut [f32]) {
    let pixels = small.len() / g.co;
    if g.contiguous() {
        let mut out = Block::new(x, g.row());
        return gemm([pixels, g.row(), g.co], &mut out, false, Mat::rows(small, g.co), Mat::rows(weights, g.row()));
    }
    x.fill(0.0);
    let (ld, band) = (g.leading(), g.band());
    with_patches(band.min(pixels) * ld, |scratch| {
        for first in (0..pixels).step_by(band) {
            let m = band.min(pixels - first);
            let part = Mat::rows(&small[first * g.co..], g.co);
            for rows in g.slices() {
                let weights = Mat::rows(&weights[rows.start * g.k * g.ci..], g.row());
                let n = rows.len() * g.k * g.ci;
                gemm([m, n, g.co], &mut Block::new(scratch, ld), false, part, weights);
                g.col2im(scratch, first..first + m, rows, x);
            }
        }
    });
}
