//! Weight gradient, in Winograd's form.

use crate::exec::cpu::gemm::{with_patches, with_prepared};
use crate::exec::cpu::lib::panel::WIDTH;
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::lib::winograd::{Gradient, LargeWindows, Part, Shared, SmallTaps, Tiles, padded};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::winograd::{COMPONENTS, PHASES, WinogradParams};
use crate::kernels::nn::winograd_weight_grad::WinogradWeightGrad;
use pulp::Arch;
use rayon::prelude::*;

/// Tiles of a block: its transformed values stay in the last-level cache.
const BLOCK_TILES: usize = 512;
/// Tiles that a task transforms.
const TASK_TILES: usize = 16;
/// Clients whose transformed values are in memory at the same time.
const CLIENTS: usize = 4;

impl Twin for WinogradWeightGrad {
    fn run(p: &WinogradParams, args: &Args) {
        let (g, large, small) = (Tiles::new(p), args.f(0), args.f(1));
        let words = words(&g);
        let mut rows: Vec<(usize, &mut [f32])> =
            args.rows_mut(2, p.clients, p.weight_stride, (16 * g.ci * g.co) as u32).into_iter().enumerate().collect();
        with_prepared(Self::scratch_words(p), |scratch| {
            for some in rows.chunks_mut(CLIENTS) {
                some.par_iter_mut().zip(scratch.par_chunks_mut(words.iter().sum())).for_each(|((c, dw), scratch)| {
                    let large = client_of(large, *c, p.large_stride, p.large() as usize);
                    let small = client_of(small, *c, p.small_stride, p.small() as usize);
                    gradient(g, large, small, dw, p.accumulate == 1, scratch, words);
                });
            }
        });
    }

    /// Transformed values of a block of tiles and sums of products, of several clients.
    fn scratch_words(p: &WinogradParams) -> usize {
        (p.clients as usize).min(CLIENTS) * words(&Tiles::new(p)).iter().sum::<usize>()
    }
}

/// Rows of tiles of a block.
fn block_rows(g: &Tiles) -> usize {
    (BLOCK_TILES / g.across).clamp(1, g.rows)
}

/// Words of a block's windows, its taps, and the sums of all blocks if there are several.
fn words(g: &Tiles) -> [usize; 3] {
    let rows = block_rows(g);
    let (columns, tiles) = ((PHASES as usize) * g.ci, padded(rows * g.across));
    let sums = if rows < g.rows { columns * g.co } else { 0 };
    [columns * tiles, g.co * tiles, sums].map(|words| COMPONENTS as usize * words)
}

/// A client's gradient: block by block, all windows and taps are transformed, then every panel adds its products.
fn gradient(
    g: Tiles,
    large: &[f32],
    small: &[f32],
    dw: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
    words: [usize; 3],
) {
    let arch = Arch::new();
    let (u, rest) = scratch.split_at_mut(words[0]);
    let (d, sums) = rest.split_at_mut(words[1]);
    let dw = &Shared::new(dw);
    let (block, step) = (block_rows(&g), (TASK_TILES / g.across).max(1));
    let panel_words = COMPONENTS as usize * g.co * WIDTH;
    for begin in (0..g.rows).step_by(block) {
        let rows = block.min(g.rows - begin);
        let tiles = rows * g.across;
        {
            let (u, d) = (&Shared::new(u), &Shared::new(d));
            (0..rows.div_ceil(step)).into_par_iter().for_each(|task| {
                let (first, place) = (begin + task * step, task * step * g.across);
                let part = Part { first, rows: step.min(begin + rows - first), tiles, place };
                arch.dispatch(LargeWindows { g, large, part, to: u });
                arch.dispatch(SmallTaps { g, small, part, to: d });
            });
        }
        let (u, d, add) = (&*u, &*d, begin > 0);
        let last = (begin + rows == g.rows).then_some((dw, accumulate));
        let run = |panel, sums: &mut [f32]| arch.dispatch(Gradient { g, tiles, u, d, panel, sums, add, dw: last });
        if sums.is_empty() {
            let panels = (PHASES as usize) * g.ci / WIDTH;
            (0..panels).into_par_iter().for_each(|panel| with_patches(panel_words, |sums| run(panel, sums)));
        } else {
            sums.par_chunks_mut(panel_words).enumerate().for_each(|(panel, sums)| run(panel, sums));
        }
    }
}
