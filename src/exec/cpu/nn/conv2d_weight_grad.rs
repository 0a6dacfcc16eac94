//! Weight gradient, or its partial sums over `splits` parts of the pixels.

use crate::exec::cpu::gemm::{Block, Columns, Mat, gemm, with_patches, with_prepared};
use crate::exec::cpu::lib::conv::add_in_order;
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::patches::Geometry;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::conv::ConvParams;
use crate::kernels::nn::conv2d_weight_grad::Conv2dWeightGrad;
use rayon::prelude::*;
use std::ops::Range;

/// With at least this many large-side channels a weight gradient is one product per tap; below, all taps are one
/// product.
const TAP_CHANNELS: usize = 16;
/// Words that a tap gathers at a time.
const TAP_WORDS: usize = 64 * 1024;

impl Twin for Conv2dWeightGrad {
    fn run(p: &ConvParams, args: &Args) {
        let g = Geometry::new(p);
        let (large, small) = (args.f(0), args.f(1));
        let (splits, size) = (p.splits.max(1) as usize, g.row() * g.co);
        let part = g.pixels().div_ceil(splits);
        let add = splits == 1 && p.accumulate == 1;
        let parts: Vec<Part> = args
            .rows_mut(2, p.clients, p.weight_stride, (splits * size) as u32)
            .into_iter()
            .enumerate()
            .flat_map(|(c, row)| row.chunks_mut(size).enumerate().map(move |(s, out)| (c, s, out)))
            .map(|(c, s, out)| Part {
                large: client_of(large, c, p.large_stride, g.n * g.image()),
                small: client_of(small, c, p.small_stride, g.pixels() * g.co),
                pixels: (s * part).min(g.pixels())..((s + 1) * part).min(g.pixels()),
                out,
            })
            .collect();
        if g.ci >= TAP_CHANNELS { by_tap(&g, parts, add) } else { by_group(&g, parts, part, add) }
    }

    /// The sums of the groups of pixels.
    fn scratch_words(p: &ConvParams) -> usize {
        let (g, splits) = (Geometry::new(p), p.splits.max(1) as usize);
        let size = p.clients as usize * g.row() * g.co;
        if g.ci < TAP_CHANNELS { splits * groups(g.pixels().div_ceil(splits)) * size } else { 0 }
    }
}

/// One sum over a range of one client's pixels.
struct Part<'a> {
    large: &'a [f32],
    small: &'a [f32],
    pixels: Range<usize>,
    out: &'a mut [f32],
}

/// One task per tap: `ci` columns of the gradient each.
fn by_tap(g: &Geometry, parts: Vec<Part>, add: bool) {
    parts.into_par_iter().for_each(|part| {
        let Part { large, small, pixels, out } = part;
        let out = Columns::new(out, g.row());
        (0..g.k * g.k).into_par_iter().for_each(|tap| {
            // SAFETY: a tap writes only columns tap * ci .. (tap + 1) * ci of each row, so no two taps share an
            // element.
            let mut out = unsafe { out.from(tap * g.ci) };
            tap_sum(g, large, small, pixels.clone(), [tap / g.k, tap % g.k], &mut out, add);
        });
    });
}

/// `out[co][ci] (+)= sum over pixels of small[co] large-at-tap[ci]`.
fn tap_sum(
    g: &Geometry,
    large: &[f32],
    small: &[f32],
    pixels: Range<usize>,
    tap: [usize; 2],
    out: &mut Block,
    add: bool,
) {
    let rows = |first: usize| Mat::rows(&small[first * g.co..], g.co).t();
    if g.contiguous() {
        let at = pixels.start * g.row() + (tap[0] * g.k + tap[1]) * g.ci;
        let taps = Mat::rows(&large[at.min(large.len())..], g.row());
        return gemm([g.co, g.ci, pixels.len()], out, add, rows(pixels.start), taps);
    }
    let band = (TAP_WORDS / g.ci).clamp(64, 1024).min(pixels.len());
    if band == 0 {
        return gemm([g.co, g.ci, 0], out, add, rows(0), Mat::rows(&[], g.ci));
    }
    with_patches(band * g.ci, |scratch| {
        for first in pixels.clone().step_by(band) {
            let k = band.min(pixels.end - first);
            g.gather_tap(large, first..first + k, tap, scratch);
            let add = add || first > pixels.start;
            gemm([g.co, g.ci, k], out, add, rows(first), Mat::rows(scratch, g.ci));
        }
    });
}

/// One task per group of pixels, all taps together; the groups' sums are added in order.
fn by_group(g: &Geometry, parts: Vec<Part>, pixels: usize, add: bool) {
    let size = g.row() * g.co;
    let groups = groups(pixels);
    let each = pixels.div_ceil(groups);
    with_prepared(parts.len() * groups * size, |sums| {
        sums.par_chunks_mut(size).enumerate().for_each(|(i, sum)| {
            let part = &parts[i / groups];
            let first = (part.pixels.start + i % groups * each).min(part.pixels.end);
            group_sum(g, part.large, part.small, first..(first + each).min(part.pixels.end), sum);
        });
        parts.into_par_iter().zip(sums.par_chunks(groups * size)).for_each(|(part, sums)| {
            add_in_order(part.out, sums, size, add);
        });
    });
}

/// `sum[co][row]` over a group's pixels.
fn group_sum(g: &Geometry, large: &[f32], small: &[f32], pixels: Range<usize>, sum: &mut [f32]) {
    sum.fill(0.0);
    let (ld, band) = (g.leading(), g.band().min(pixels.len()));
    if band == 0 {
        return;
    }
    with_patches(band * ld, |scratch| {
        for first in pixels.clone().step_by(band) {
            let k = band.min(pixels.end - first);
            for rows in g.slices() {
                g.im2col(large, first..first + k, rows.clone(), scratch);
                let mut out = Block::new(&mut sum[rows.start * g.k * g.ci..], g.row());
                let n = rows.len() * g.k * g.ci;
                let small = Mat::rows(&small[first * g.co..], g.co).t();
                gemm([g.co, n, k], &mut out, true, small, Mat::rows(scratch, ld));
            }
        }
    });
}

/// Groups of pixels, each summed by its own task.
fn groups(pixels: usize) -> usize {
    (pixels / 512).clamp(1, 16)
}
