//! The convolution and the transposed convolution of a task's tiles.

#![expect(clippy::needless_range_loop, reason = "closures are compiled without their caller's vector instructions")]

use super::windows::{LargeWindows, Part, SmallWindows};
use super::{FOUR, NINE, Shared, Tiles, gather, padded, results};
use crate::exec::cpu::lib::panel::{Left, Product, WIDTH};
use pulp::{Simd, WithSimd};

/// Convolution of consecutive rows of tiles.
pub(in crate::exec::cpu) struct Forward<'a> {
    pub(in crate::exec::cpu) g: Tiles,
    /// A client's large side.
    pub(in crate::exec::cpu) large: &'a [f32],
    /// Its transformed weights, `[9][co / 16][4 ci][16]`.
    pub(in crate::exec::cpu) v: &'a [f32],
    pub(in crate::exec::cpu) first: usize,
    /// [`Tiles::scratch`] of [`Forward::columns`].
    pub(in crate::exec::cpu) scratch: &'a mut [f32],
    /// The pixels of these rows.
    pub(in crate::exec::cpu) y: &'a mut [f32],
}

impl Forward<'_> {
    /// Panel columns of scratch.
    pub(in crate::exec::cpu) fn columns(g: &Tiles) -> usize {
        FOUR * g.ci + g.co
    }
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Forward { g, large, v, first, scratch, y } = self;
        let (rows, k) = (y.len() / g.small_row(), FOUR * g.ci);
        let tiles = rows * g.across;
        let panel = padded(tiles);
        let (u, m) = scratch.split_at_mut(NINE * panel * k);
        let part = Part { first, rows, tiles, place: 0 };
        simd.vectorize(LargeWindows { g, large, part, to: &Shared::new(u) });
        for i in 0..NINE {
            simd.vectorize(Product {
                shape: [tiles, g.co, k],
                left: Left::Panels,
                a: &u[i * panel * k..],
                b: &v[i * k * g.co..],
                c: &mut m[i * panel * g.co..(i + 1) * panel * g.co],
                rows: [panel, k, panel],
                add: false,
            });
        }
        simd.vectorize(SmallResults { g, m: &m[..NINE * panel * g.co], tiles, y });
    }
}

/// Pixels of the small side from nine products.
struct SmallResults<'a> {
    g: Tiles,
    m: &'a [f32],
    tiles: usize,
    y: &'a mut [f32],
}

impl WithSimd for SmallResults<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let SmallResults { g, m, tiles, y } = self;
        let (per, panel) = (WIDTH / S::F32_LANES, padded(tiles));
        let (m, y) = (S::as_simd_f32s(m).0, S::as_mut_simd_f32s(y).0);
        let pixel = g.co / S::F32_LANES;
        for tile in 0..tiles {
            let (row, tx) = (tile / g.across, tile % g.across);
            for at in 0..pixel {
                let out = results(simd, gather(simd, m, (at / per * panel + tile) * per + at % per));
                for a in 0..2 {
                    for b in 0..2 {
                        y[((2 * row + a) * 2 * g.across + 2 * tx + b) * pixel + at] = out[a][b];
                    }
                }
            }
        }
    }
}

/// Transposed convolution of consecutive rows of tiles.
pub(in crate::exec::cpu) struct Backward<'a> {
    pub(in crate::exec::cpu) g: Tiles,
    /// A client's small side.
    pub(in crate::exec::cpu) small: &'a [f32],
    /// Its transformed weights, `[9][4][ci / 16][co][16]`.
    pub(in crate::exec::cpu) v: &'a [f32],
    pub(in crate::exec::cpu) first: usize,
    /// [`Tiles::scratch`] of [`Backward::columns`].
    pub(in crate::exec::cpu) scratch: &'a mut [f32],
    /// The pixels of these rows.
    pub(in crate::exec::cpu) x: &'a mut [f32],
}

impl Backward<'_> {
    /// Panel columns of scratch.
    pub(in crate::exec::cpu) fn columns(g: &Tiles) -> usize {
        g.ci + g.co
    }
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Backward { g, small, v, first, scratch, x } = self;
        let rows = x.len() / g.large_row();
        let tiles = rows * g.across;
        let panel = padded(tiles);
        let (u, m) = scratch.split_at_mut(NINE * panel * g.co);
        let part = Part { first, rows, tiles, place: 0 };
        for phase in 0..FOUR {
            simd.vectorize(SmallWindows { g, small, part, phase, to: &Shared::new(u) });
            for i in 0..NINE {
                simd.vectorize(Product {
                    shape: [tiles, g.ci, g.co],
                    left: Left::Panels,
                    a: &u[i * panel * g.co..],
                    b: &v[(i * FOUR + phase) * g.ci * g.co..],
                    c: &mut m[i * panel * g.ci..(i + 1) * panel * g.ci],
                    rows: [panel, g.co, panel],
                    add: false,
                });
            }
            simd.vectorize(LargeResults { g, m: &m[..NINE * panel * g.ci], tiles, phase, x });
        }
    }
}

/// Pixels of one phase of the large side from nine products.
struct LargeResults<'a> {
    g: Tiles,
    m: &'a [f32],
    tiles: usize,
    phase: usize,
    x: &'a mut [f32],
}

impl WithSimd for LargeResults<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let LargeResults { g, m, tiles, phase, x } = self;
        let (per, panel) = (WIDTH / S::F32_LANES, padded(tiles));
        let (m, x) = (S::as_simd_f32s(m).0, S::as_mut_simd_f32s(x).0);
        let (p, q, pixel) = (phase / 2, phase % 2, g.ci / S::F32_LANES);
        for tile in 0..tiles {
            let (row, tx) = (tile / g.across, tile % g.across);
            for at in 0..pixel {
                let out = results(simd, gather(simd, m, (at / per * panel + tile) * per + at % per));
                for a in 0..2 {
                    for b in 0..2 {
                        let (y, column) = (4 * row + 2 * a + 1 - p, 4 * tx + 2 * b + 1 - q);
                        x[(y * g.w + column) * pixel + at] = out[a][b];
                    }
                }
            }
        }
    }
}
