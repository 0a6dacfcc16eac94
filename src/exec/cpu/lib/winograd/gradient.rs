//! The weight gradient of a panel.

#![expect(clippy::needless_range_loop, reason = "closures are compiled without their caller's vector instructions")]

use super::{FOUR, NINE, Shared, Tiles, gather, padded, results};
use crate::exec::cpu::lib::panel::{Left, Product, WIDTH};
use pulp::{Simd, WithSimd};

/// The weight gradient of one panel: 16 channels of one phase of the large side, with all channels of the small side.
pub(in crate::exec::cpu) struct Gradient<'a> {
    pub(in crate::exec::cpu) g: Tiles,
    /// Tiles of this block.
    pub(in crate::exec::cpu) tiles: usize,
    /// [`LargeWindows`] of the block.
    pub(in crate::exec::cpu) u: &'a [f32],
    /// [`SmallTaps`] of the block.
    pub(in crate::exec::cpu) d: &'a [f32],
    pub(in crate::exec::cpu) panel: usize,
    /// Products so far, `[9][co][16]`.
    pub(in crate::exec::cpu) sums: &'a mut [f32],
    /// Whether there are any.
    pub(in crate::exec::cpu) add: bool,
    /// After the last block: the client's gradient, and whether to add to it.
    pub(in crate::exec::cpu) dw: Option<(&'a Shared<'a>, bool)>,
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Gradient { g, tiles, u, d, panel, sums, add, dw } = self;
        let rows = padded(tiles);
        for i in 0..NINE {
            simd.vectorize(Product {
                shape: [g.co, WIDTH, tiles],
                left: Left::Transposed,
                a: &d[i * g.co * rows..],
                b: &u[(i * FOUR * g.ci + panel * WIDTH) * rows..],
                c: &mut sums[i * g.co * WIDTH..],
                rows: [rows, rows, g.co],
                add,
            });
        }
        let Some((dw, accumulate)) = dw else { return };
        assert_eq!(dw.len, 16 * g.ci * g.co, "words of the gradient");
        let (per, panels) = (WIDTH / S::F32_LANES, g.ci / WIDTH);
        let (p, q, c) = (panel / panels / 2, panel / panels % 2, panel % panels);
        let sums = S::as_simd_f32s(&sums[..NINE * g.co * WIDTH]).0;
        for co in 0..g.co {
            for v in 0..per {
                let out = results(simd, gather(simd, sums, co * per + v));
                for a in 0..2 {
                    for b in 0..2 {
                        let word = ((co * 4 + 2 * a + p) * 4 + 2 * b + q) * g.ci + c * WIDTH + v * S::F32_LANES;
                        // SAFETY: within the gradient by the assertion; a panel's channels belong to its task.
                        unsafe {
                            let to = dw.at::<S>(word);
                            let sum =
                                if accumulate { simd.add_f32s(to.read_unaligned(), out[a][b]) } else { out[a][b] };
                            to.write_unaligned(sum);
                        }
                    }
                }
            }
        }
    }
}
