//! Rows of counter-based random numbers, four words per block; the formulas are those of the shaders, operation by
//! operation.

use crate::kernels::rng::RngParams;
use rayon::prelude::*;

/// 2^-24: 24 random bits to [0, 1).
pub(in crate::exec::cpu) const TO_UNIT: f32 = 1.0 / 16_777_216.0;

/// Elements produced by a parallel task; a multiple of 4.
const CHUNK: usize = 4096;

/// Fills every client's row block by block.
pub(in crate::exec::cpu) fn blocks<T: Copy + Send>(
    p: &RngParams,
    state: &[u32],
    rows: Vec<&mut [T]>,
    make: impl Fn([u32; 4]) -> [T; 4] + Sync,
) {
    rows.into_par_iter().enumerate().for_each(|(c, row)| {
        row.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, part)| {
            for (k, out) in part.chunks_mut(4).enumerate() {
                let values = make(p.block(state, c as u32, (chunk * CHUNK / 4 + k) as u32));
                out.copy_from_slice(&values[..out.len()]);
            }
        });
    });
}
