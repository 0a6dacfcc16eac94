//! Transforms of the inputs: windows of either side, and the small side as taps.

#![expect(clippy::needless_range_loop, reason = "closures are compiled without their caller's vector instructions")]

use super::{FOUR, NINE, Shared, Tiles, padded, taps, window};
use crate::exec::cpu::lib::panel::WIDTH;
use pulp::{Simd, WithSimd};

/// Consecutive rows of tiles, and where their transformed values go: into panels of `tiles` tiles, from `place` on.
#[derive(Clone, Copy)]
pub(in crate::exec::cpu) struct Part {
    pub(in crate::exec::cpu) first: usize,
    pub(in crate::exec::cpu) rows: usize,
    pub(in crate::exec::cpu) tiles: usize,
    pub(in crate::exec::cpu) place: usize,
}

/// The windows of the large side, `[9][4 ci / 16][tiles][16]`: a panel belongs to one phase.
pub(in crate::exec::cpu) struct LargeWindows<'a> {
    pub(in crate::exec::cpu) g: Tiles,
    pub(in crate::exec::cpu) large: &'a [f32],
    pub(in crate::exec::cpu) part: Part,
    pub(in crate::exec::cpu) to: &'a Shared<'a>,
}

impl WithSimd for LargeWindows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let LargeWindows { g, large, part, to } = self;
        let (per, panels, rows) = (WIDTH / S::F32_LANES, g.ci / WIDTH, padded(part.tiles));
        let plane = FOUR * g.ci * rows;
        assert!(part.place + part.rows * g.across <= rows && NINE * plane <= to.len);
        let large = S::as_simd_f32s(large).0;
        let pixel = g.ci / S::F32_LANES;
        for tile in 0..part.rows * g.across {
            let (row, tx) = (part.first + tile / g.across, tile % g.across);
            let (image, ty) = (row / (g.h / 4), row % (g.h / 4));
            // Offsets of the 6 x 6 pixels that the tile meets, `None` for padding.
            let mut pixels = [[None; 6]; 6];
            for dy in 0..6 {
                for dx in 0..6 {
                    let (y, x) = ((4 * ty + dy).wrapping_sub(1), (4 * tx + dx).wrapping_sub(1));
                    if y < g.h && x < g.w {
                        pixels[dy][dx] = Some(((image * g.h + y) * g.w + x) * pixel);
                    }
                }
            }
            for phase in 0..FOUR {
                let (p, q) = (phase / 2, phase % 2);
                for at in 0..pixel {
                    let mut x = [[simd.splat_f32s(0.0); 3]; 3];
                    for i in 0..3 {
                        for j in 0..3 {
                            if let Some(from) = pixels[2 * i + p][2 * j + q] {
                                x[i][j] = large[from + at];
                            }
                        }
                    }
                    let out = window(simd, x);
                    let panel = phase * panels + at / per;
                    let word = (panel * rows + part.place + tile) * WIDTH + at % per * S::F32_LANES;
                    for i in 0..NINE {
                        // SAFETY: within the nine planes by the assertion; a tile's words belong to its part.
                        unsafe { to.at::<S>(i * plane + word).write_unaligned(out[i]) };
                    }
                }
            }
        }
    }
}

/// The windows of the small side that one phase meets, `[9][co / 16][tiles][16]`.
pub(super) struct SmallWindows<'a> {
    pub(super) g: Tiles,
    pub(super) small: &'a [f32],
    pub(super) part: Part,
    pub(super) phase: usize,
    pub(super) to: &'a Shared<'a>,
}

impl WithSimd for SmallWindows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let SmallWindows { g, small, part, phase, to } = self;
        let (per, rows) = (WIDTH / S::F32_LANES, padded(part.tiles));
        let (p, q, plane) = (phase / 2, phase % 2, g.co * rows);
        assert!(part.place + part.rows * g.across <= rows && NINE * plane <= to.len);
        let small = S::as_simd_f32s(small).0;
        let (oh, ow, pixel) = (g.h / 2, g.w / 2, g.co / S::F32_LANES);
        for tile in 0..part.rows * g.across {
            let (row, tx) = (part.first + tile / g.across, tile % g.across);
            let (image, ty) = (row / (g.h / 4), row % (g.h / 4));
            let mut pixels = [[None; 3]; 3];
            for dy in 0..3 {
                for dx in 0..3 {
                    let (y, x) = ((2 * ty + dy).wrapping_sub(p), (2 * tx + dx).wrapping_sub(q));
                    if y < oh && x < ow {
                        pixels[dy][dx] = Some(((image * oh + y) * ow + x) * pixel);
                    }
                }
            }
            for at in 0..pixel {
                let mut x = [[simd.splat_f32s(0.0); 3]; 3];
                for i in 0..3 {
                    for j in 0..3 {
                        if let Some(from) = pixels[i][j] {
                            x[i][j] = small[from + at];
                        }
                    }
                }
                let out = window(simd, x);
                let word = (at / per * rows + part.place + tile) * WIDTH + at % per * S::F32_LANES;
                for i in 0..NINE {
                    // SAFETY: within the nine planes by the assertion; a tile's words belong to its part.
                    unsafe { to.at::<S>(i * plane + word).write_unaligned(out[i]) };
                }
            }
        }
    }
}

/// The small side as taps of a weight gradient, `[9][co / 16][tiles][16]`.
pub(in crate::exec::cpu) struct SmallTaps<'a> {
    pub(in crate::exec::cpu) g: Tiles,
    pub(in crate::exec::cpu) small: &'a [f32],
    pub(in crate::exec::cpu) part: Part,
    pub(in crate::exec::cpu) to: &'a Shared<'a>,
}

impl WithSimd for SmallTaps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let SmallTaps { g, small, part, to } = self;
        let (per, rows) = (WIDTH / S::F32_LANES, padded(part.tiles));
        let plane = g.co * rows;
        assert!(part.place + part.rows * g.across <= rows && NINE * plane <= to.len);
        let small = S::as_simd_f32s(small).0;
        let pixel = g.co / S::F32_LANES;
        for tile in 0..part.rows * g.across {
            let (row, tx) = (part.first + tile / g.across, tile % g.across);
            let above = (2 * row * 2 * g.across + 2 * tx) * pixel;
            let below = above + 2 * g.across * pixel;
            for at in 0..pixel {
                let x =
                    [[small[above + at], small[above + pixel + at]], [small[below + at], small[below + pixel + at]]];
                let out = taps(simd, x);
                let word = (at / per * rows + part.place + tile) * WIDTH + at % per * S::F32_LANES;
                for i in 0..NINE {
                    // SAFETY: within the nine planes by the assertion; a tile's words belong to its part.
                    unsafe { to.at::<S>(i * plane + word).write_unaligned(out[i]) };
                }
            }
        }
    }
}
