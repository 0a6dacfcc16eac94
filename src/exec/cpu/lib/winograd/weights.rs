//! Transforms of the weights.

#![expect(clippy::needless_range_loop, reason = "closures are compiled without their caller's vector instructions")]

use super::{FOUR, NINE, Shared, taps};
use crate::exec::cpu::lib::panel::WIDTH;
use pulp::{Simd, WithSimd};

/// The four taps of a phase at `at` within a row of weights `[4][4][ci]`.
#[inline(always)]
fn phase_taps<S: Simd>(simd: S, row: &[S::f32s], ci: usize, phase: usize, at: usize) -> [[S::f32s; 2]; 2] {
    let mut x = [[simd.splat_f32s(0.0); 2]; 2];
    for a in 0..2 {
        for b in 0..2 {
            x[a][b] = row[((2 * a + phase / 2) * 4 + 2 * b + phase % 2) * ci + at];
        }
    }
    x
}

/// One panel of transformed weights for the convolution, `[9][co / 16][4 ci][16]`.
pub(in crate::exec::cpu) struct ForwardWeights<'a> {
    pub(in crate::exec::cpu) ci: usize,
    pub(in crate::exec::cpu) co: usize,
    pub(in crate::exec::cpu) w: &'a [f32],
    pub(in crate::exec::cpu) panel: usize,
    pub(in crate::exec::cpu) to: &'a Shared<'a>,
}

impl WithSimd for ForwardWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ForwardWeights { ci, co, w, panel, to } = self;
        let (per, row, plane) = (WIDTH / S::F32_LANES, 16 * ci, FOUR * ci * co);
        assert!(NINE * plane <= to.len && (panel + 1) * WIDTH <= co);
        let words = ci / S::F32_LANES;
        for c in 0..ci / WIDTH {
            for phase in 0..FOUR {
                let mut block = [[[0f32; WIDTH]; WIDTH]; NINE];
                for lane in 0..WIDTH {
                    let from = S::as_simd_f32s(&w[(panel * WIDTH + lane) * row..][..row]).0;
                    for v in 0..per {
                        let out = taps(simd, phase_taps::<S>(simd, from, words, phase, c * per + v));
                        for i in 0..NINE {
                            S::as_mut_simd_f32s(&mut block[i][lane]).0[v] = out[i];
                        }
                    }
                }
                for i in 0..NINE {
                    let first = i * plane + ((panel * FOUR + phase) * ci + c * WIDTH) * WIDTH;
                    for channel in 0..WIDTH {
                        let mut line = [0f32; WIDTH];
                        for lane in 0..WIDTH {
                            line[lane] = block[i][lane][channel];
                        }
                        for v in 0..per {
                            let word = first + channel * WIDTH + v * S::F32_LANES;
                            // SAFETY: within the nine planes by the assertion; a panel belongs to its task.
                            unsafe { to.at::<S>(word).write_unaligned(S::as_simd_f32s(&line).0[v]) };
                        }
                    }
                }
            }
        }
    }
}

/// One panel of transformed weights for the transposed convolution, `[9][4][ci / 16][co][16]`, taps in reverse order.
pub(in crate::exec::cpu) struct BackwardWeights<'a> {
    pub(in crate::exec::cpu) ci: usize,
    pub(in crate::exec::cpu) co: usize,
    pub(in crate::exec::cpu) w: &'a [f32],
    /// Of 4 ci / 16.
    pub(in crate::exec::cpu) panel: usize,
    pub(in crate::exec::cpu) to: &'a Shared<'a>,
}

impl WithSimd for BackwardWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let BackwardWeights { ci, co, w, panel, to } = self;
        let (per, row, plane) = (WIDTH / S::F32_LANES, 16 * ci, FOUR * ci * co);
        assert!(NINE * plane <= to.len && (panel + 1) * WIDTH <= FOUR * ci);
        let (phase, c, words) = (panel / (ci / WIDTH), panel % (ci / WIDTH), ci / S::F32_LANES);
        for o in 0..co {
            let from = S::as_simd_f32s(&w[o * row..][..row]).0;
            for v in 0..per {
                let [[w0, w1], [w2, w3]] = phase_taps::<S>(simd, from, words, phase, c * per + v);
                let out = taps(simd, [[w3, w2], [w1, w0]]);
                for i in 0..NINE {
                    let word = i * plane + (panel * co + o) * WIDTH + v * S::F32_LANES;
                    // SAFETY: within the nine planes by the assertion; a panel belongs to its task.
                    unsafe { to.at::<S>(word).write_unaligned(out[i]) };
                }
            }
        }
    }
}
