//! Convolutions as matrix products over patches (im2col), in tasks of pixels, images or taps. The cut into tasks and the
//! order of every sum depend on one client's shape only: neither the number of threads nor that of clients matters.

use super::Args;
use super::gemm::{Block, Columns, Mat, gemm, with_patches, with_prepared};
use super::patches::Geometry;
use crate::kernels::Params;
use crate::kernels::nn::conv::ConvParams;
use crate::kernels::nn::split_sum::SplitSumParams;
use rayon::prelude::*;
use std::ops::Range;

/// From this many large-side channels on, a weight gradient is a product for each tap; below, taps are taken together.
const TAP_CHANNELS: usize = 16;
/// Words that a tap gathers at a time.
const TAP_WORDS: usize = 64 * 1024;
/// Elements of a `split_sum` task.
const SUM_WORDS: usize = 16 * 1024;

/// Client `c`'s `len` words of an operand.
fn client(data: &[f32], c: usize, stride: u32, len: usize) -> &[f32] {
    &data[c * stride as usize..][..len]
}

/// Words that a launch prepares for all its tasks.
pub fn prepared_words(kernel: &str, words: &[u32]) -> usize {
    if !matches!(kernel, "conv2d" | "conv2d_weight_grad") {
        return 0;
    }
    let p = ConvParams::from_words(words);
    let (g, splits) = (Geometry::new(&p), p.splits.max(1) as usize);
    let size = p.clients as usize * g.row() * g.co;
    match kernel {
        "conv2d" if g.co > 1 => size,
        "conv2d_weight_grad" if g.ci < TAP_CHANNELS => splits * groups(g.pixels().div_ceil(splits)) * size,
        _ => 0,
    }
}

/// Groups of pixels whose sums are tasks of their own.
fn groups(pixels: usize) -> usize {
    (pixels / 512).clamp(1, 16)
}

/// small = large conv weights.
pub fn conv2d(words: &[u32], args: &Args) {
    let p = ConvParams::from_words(words);
    let g = Geometry::new(&p);
    let (large, weights) = (args.f(0), args.f(1));
    let size = g.row() * g.co;
    let rows = args.rows_mut(2, p.clients, p.small_stride, (g.pixels() * g.co) as u32);
    // The product wants weights [row][co]; transposed once, not by every task. With one output channel they already are.
    with_prepared(prepared_words("conv2d", words), |scratch| {
        if g.co > 1 {
            scratch.par_chunks_mut(size).enumerate().for_each(|(c, to)| {
                transpose(client(weights, c, p.weight_stride, size), g.row(), to, g.co);
            });
        }
        let scratch = &*scratch;
        let task = g.task_pixels();
        rows.into_par_iter()
            .enumerate()
            .flat_map(|(c, row)| row.par_chunks_mut(task * g.co).enumerate().map(move |(i, y)| (c, i, y)))
            .for_each(|(c, i, y)| {
                let large = client(large, c, p.large_stride, g.n * g.image());
                let weights = match g.co {
                    1 => client(weights, c, p.weight_stride, size),
                    _ => &scratch[c * size..][..size],
                };
                let first = i * task;
                forward(&g, large, weights, first..first + y.len() / g.co, y);
            });
    });
}

/// `to[cols][rows] = from[rows][cols]` by blocks of 16 columns.
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

/// y[pixels][co] = patches weights[row][co].
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

/// large = small conv-transposed weights; positions that no tap reaches get 0.
pub fn conv_transpose2d(words: &[u32], args: &Args) {
    let p = ConvParams::from_words(words);
    let g = Geometry::new(&p);
    let (small, weights) = (args.f(0), args.f(1));
    let pixels = g.oh * g.ow;
    // Where patches do not overlap any pixel may be its own task.
    let (task, unit, per_task) = match g.contiguous() {
        true => (g.task_pixels(), g.row(), g.task_pixels()),
        false => (g.task_images(), g.image(), g.task_images() * pixels),
    };
    args.rows_mut(2, p.clients, p.large_stride, (g.n * g.image()) as u32)
        .into_par_iter()
        .enumerate()
        .flat_map(|(c, row)| row.par_chunks_mut(task * unit).enumerate().map(move |(i, x)| (c, i, x)))
        .for_each(|(c, i, x)| {
            let weights = client(weights, c, p.weight_stride, g.row() * g.co);
            let small = client(small, c, p.small_stride, g.pixels() * g.co);
            let first = i * per_task * g.co;
            let end = (first + per_task * g.co).min(small.len());
            scatter(&g, &small[first..end], weights, x);
        });
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

/// Weight gradient, or its partial sums over `splits` parts of the pixels.
pub fn conv2d_weight_grad(words: &[u32], args: &Args) {
    let p = ConvParams::from_words(words);
    let g = Geometry::new(&p);
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
            large: client(large, c, p.large_stride, g.n * g.image()),
            small: client(small, c, p.small_stride, g.pixels() * g.co),
            pixels: (s * part).min(g.pixels())..((s + 1) * part).min(g.pixels()),
            out,
        })
        .collect();
    if g.ci >= TAP_CHANNELS { by_tap(&g, parts, add) } else { by_group(&g, parts, part, add) }
}

/// One sum over a range of one client's pixels.
struct Part<'a> {
    large: &'a [f32],
    small: &'a [f32],
    pixels: Range<usize>,
    out: &'a mut [f32],
}

/// A task for each tap: `ci` columns of the gradient each.
fn by_tap(g: &Geometry, parts: Vec<Part>, add: bool) {
    parts.into_par_iter().for_each(|part| {
        let Part { large, small, pixels, out } = part;
        let out = Columns::new(out, g.row());
        (0..g.k * g.k).into_par_iter().for_each(|tap| {
            // SAFETY: a tap writes columns tap * ci .. (tap + 1) * ci of each row only, so no two taps share an element.
            let mut out = unsafe { out.from(tap * g.ci) };
            tap_sum(g, large, small, pixels.clone(), [tap / g.k, tap % g.k], &mut out, add);
        });
    });
}

/// out[co][ci] (+)= sum over pixels of small[co] large-at-tap[ci].
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

/// A task for each group of pixels, all taps together; the groups' sums are added in order.
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

/// sum[co][row] over a group's pixels.
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

/// y[i] = (add ? y[i] : 0) + x[i] + x[size + i] + ..., in that order.
fn add_in_order(y: &mut [f32], x: &[f32], size: usize, add: bool) {
    y.par_chunks_mut(SUM_WORDS).enumerate().for_each(|(block, y)| {
        let first = block * SUM_WORDS;
        for (s, x) in x.chunks(size).enumerate() {
            let x = &x[first..first + y.len()];
            if s == 0 && !add {
                y.copy_from_slice(x);
            } else {
                y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
            }
        }
    });
}

/// Adds the parts of a weight gradient in order.
pub fn split_sum(words: &[u32], args: &Args) {
    let p = SplitSumParams::from_words(words);
    let n = p.n as usize;
    let x = args.f(0);
    args.rows_mut(1, p.clients, p.y_stride, p.n).into_par_iter().enumerate().for_each(|(c, y)| {
        add_in_order(y, client(x, c, p.x_stride, p.splits as usize * n), n, p.accumulate == 1);
    });
}
