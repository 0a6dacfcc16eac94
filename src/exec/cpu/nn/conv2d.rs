//! small = large conv weights.

use crate::exec::cpu::gemm::{Block, Mat, gemm, with_patches, with_prepared};
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::patches::Geometry;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::conv::ConvParams;
use crate::kernels::nn::conv2d::Conv2d;
use rayon::prelude::*;
use std::ops::Range;

impl Twin for Conv2d {
    fn run(p: &ConvParams, args: &Args) {
        let g = Geometry::new(p);
        let (large, weights) = (args.f(0), args.f(1));
        let size = g.row() * g.co;
        let rows = args.rows_mut(2, p.clients, p.small_stride, (g.pixels() * g.co) as u32);
        // The product needs weights `[row][co]`; they are transposed once, not by every task. With one output channel
        // they already have that layout.
        with_prepared(Self::scratch_words(p), |scratch| {
            if g.co > 1 {
                scratch.par_chunks_mut(size).enumerate().for_each(|(c, to)| {
                    transpose(client_of(weights, c, p.weight_stride, size), g.row(), to, g.co);
                });
            }
            let scratch = &*scratch;
            let task = g.task_pixels();
            rows.into_par_iter()
                .enumerate()
                .flat_map(|(c, row)| row.par_chunks_mut(task * g.co).enumerate().map(move |(i, y)| (c, i, y)))
                .for_each(|(c, i, y)| {
                    let large = client_of(large, c, p.large_stride, g.n * g.image());
                    let weights = match g.co {
                        1 => client_of(weights, c, p.weight_stride, size),
                        _ => &scratch[c * size..][..size],
                    };
                    let first = i * task;
                    forward(&g, large, weights, first..first + y.len() / g.co, y);
                });
        });
    }

    /// The weights transposed.
    fn scratch_words(p: &ConvParams) -> usize {
        if p.co > 1 { p.clients as usize * Geometry::new(p).row() * p.co as usize } else { 0 }
    }
}

/// `to[cols][rows] = from[rows][cols]` in blocks of 16 columns.
fn transpose(from: &[f32], cols: usize, to: &mut [f32], rows: usize) {
    to.par_chunks_mut(16 * rows).enumerate().for_each(|(block, to)| {
        let width = to.len() / rows;
        for r in 0..rows {
            let line = &from[r * cols + block * 16..][..width];
            for (j, v) in line.iter().enumerate() {
                to[j * rows + r] = *v;
            }
        }
    });
}

/// `y[pixels][co]` = patches times `weights[row][co]`.
fn forward(g: &Geometry, large: &[f32], weights: &[f32], pixels: Range<usize>, y: &mut [f32]) {
    let mut out = Block::new(y, g.co);
    let m = pixels.len();
    if g.contiguous() {
        let patches = Mat::rows(&large[pixels.start * g.row()..], g.row());
        return gemm([m, g.co, g.row()], &mut out, false, patches, Mat::rows(weights, g.co));
    }
    let ld = g.leading();
    with_patches(m * ld, |scratch| {
        for rows in g.slices() {
            g.im2col(large, pixels.clone(), rows.clone(), scratch);
            let (first, k) = (rows.start * g.k * g.ci, rows.len() * g.k * g.ci);
            let weights = Mat::rows(&weights[first * g.co..], g.co);
            gemm([m, g.co, k], &mut out, rows.start > 0, Mat::rows(scratch, ld), weights);
        }
    });
}
