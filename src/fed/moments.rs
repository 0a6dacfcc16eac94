//! The scalars of a client's update that the server reads: a row of named words.

use crate::exec::ALIGN;
use bytemuck::{Pod, Zeroable};
use std::mem::{offset_of, size_of};

/// A client's row of moments, written between local training and aggregation.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct UpdateMoments {
    /// ||u_i||^2 of the generator's update u_i = w_i - w.
    pub square: f32,
    /// u_i . m with the mean update m.
    pub dot: f32,
    /// The largest averaged deviation in the server's probe; 0 without a probe.
    pub peak: f32,
    padding: [u32; ALIGN - 3],
}

impl UpdateMoments {
    /// Words of a row.
    pub const WORDS: usize = size_of::<Self>() / 4;
    /// Word of [`UpdateMoments::dot`].
    pub const DOT_AT: u32 = offset_of!(UpdateMoments, dot) as u32 / 4;
    /// Word of [`UpdateMoments::peak`].
    pub const PEAK_AT: u32 = offset_of!(UpdateMoments, peak) as u32 / 4;

    /// The rows in `words`, of [`UpdateMoments::WORDS`] words each.
    ///
    /// # Panics
    /// If `words` is not a whole number of rows.
    pub fn rows(words: &[u32]) -> &[UpdateMoments] {
        bytemuck::cast_slice(words)
    }
}

// A row is a client stride, and `difference_norm` writes word 0.
const _: () = assert!(UpdateMoments::WORDS == ALIGN && offset_of!(UpdateMoments, square) == 0);
